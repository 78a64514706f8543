"""Whether a range can be split, and what its server may send in vain."""

from dataclasses import dataclass

import pytest

from tritonops.models.transfer.byte_range import ByteRange

MB = 1 << 20


@dataclass
class Response:
    status: int = 206
    unread_bytes: int = 0
    receive_buffer: int = 128 << 10


def connected(end=8 * MB, **response):
    part = ByteRange(0, end)
    part.connected(Response(**response), 0.0)
    return part


def test_a_range_without_a_connection_is_not_split():
    assert not ByteRange(0, 8 * MB).is_splittable


@pytest.mark.parametrize(("status", "is_splittable"), [(206, True), (200, False)])
def test_only_a_server_that_obeys_range_can_send_the_rest_of_it(status, is_splittable):
    assert connected(status=status).is_splittable is is_splittable


def test_it_is_split_in_the_middle_of_what_has_not_arrived():
    part = connected(unread_bytes=64 << 10)
    assert part.split_point() == (8 * MB + (64 << 10)) // 2


def test_where_bytes_wait_to_be_read_the_reader_is_slow_and_not_the_connection():
    assert connected(unread_bytes=(64 << 10) + 1).split_point() is None


def test_a_short_rest_is_not_split():
    assert connected(end=256 << 10).split_point() is None


def test_a_split_costs_at_most_what_the_buffers_hold_or_what_was_requested_behind_it():
    part = connected(receive_buffer=1 * MB)
    assert part.overshoot(4 * MB) == 2 * MB
    assert part.overshoot(7 * MB) == 1 * MB


def test_slow_reads_become_smaller_and_fast_ones_larger():
    part = connected()
    sizes = [(part.advance(1, 0.001), part.read_size)[1] for _ in range(5)]
    assert sizes == [128 << 10, 256 << 10, 512 << 10, 512 << 10, 512 << 10]
    part.advance(1, 0.03)
    assert part.read_size == 256 << 10


def test_the_time_left_is_guessed_from_the_speed_but_not_longer_than_it_was_seen():
    part = connected(end=100)
    part.advance(50, 0.001)
    assert part.seconds_left(10.0) == 10.0
    part.advance(25, 0.001)
    assert part.seconds_left(3.0) == 1.0
