"""Deadlines, without waiting for them."""

import http.client
import io

import pytest

from tritonops.models.http.errors import StoppedError
from tritonops.models.http.watchdog import MAX_INTERIM, MAX_TRAILERS, BodyClock, CheckedResponse, Watchdog


def overdue(clock, *samples):
    return [str(clock.overdue(now, received, is_reading=True) or "") for now, received in samples][-1]


def test_less_than_a_kilobyte_a_second_for_as_long_as_it_may_stall_is_too_slow():
    assert overdue(BodyClock(30.0, None), (0.0, 0), (15.0, 10_000), (30.0, 29_999)) == (
        "less than 1 kB/s for 30 seconds"
    )
    assert overdue(BodyClock(30.0, None), (0.0, 0), (15.0, 10_000), (30.0, 30_000)) == ""


def test_the_speed_is_that_of_the_last_seconds_and_not_of_all():
    samples = [(float(second), 10_000_000) for second in range(1, 40)]
    assert "less than" in overdue(BodyClock(30.0, None), (0.0, 0), *samples)


def test_time_that_is_not_spent_in_reads_does_not_count():
    clock = BodyClock(30.0, None)
    assert overdue(clock, (0.0, 0)) == ""
    assert clock.overdue(29.0, 0, is_reading=False) is None
    assert overdue(clock, (31.0, 0)) == ""


def test_a_body_has_to_be_complete_by_its_deadline_even_where_it_is_fast():
    assert overdue(BodyClock(30.0, 10.0), (0.0, 0), (11.0, 10**9)) == "it was not complete in time"


def test_waiting_ends_with_the_download():
    watchdog = Watchdog(30.0)
    watchdog.wait(0.0)
    watchdog.stop()
    assert watchdog.is_stopped
    with pytest.raises(StoppedError):
        watchdog.wait(60.0)


def test_a_connection_that_was_ended_has_timed_out():
    watchdog, connection = Watchdog(30.0), http.client.HTTPConnection("hub.example")
    watchdog.begin(connection)
    watchdog.end(connection)
    with pytest.raises(TimeoutError):
        watchdog.end(connection)
    watchdog.stop()


class Socket:
    def __init__(self, data):
        self.data = data

    def makefile(self, mode):
        return io.BytesIO(self.data)


def answer(data):
    response = CheckedResponse(Socket(data))  # type: ignore[arg-type]
    response.begin()
    return response


def test_a_few_interim_answers_are_skipped_and_a_flood_is_refused():
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    assert answer(interim * 3 + b"HTTP/1.1 204 No Content\r\n\r\n").status == 204
    with pytest.raises(http.client.HTTPException, match="interim"):
        answer(interim * (MAX_INTERIM + 1))


@pytest.mark.parametrize("size", [b"-1", b"+5", b"0x5", b"1_0", b"", b"f" * 16])
def test_what_is_no_size_of_a_chunk_is_refused(size):
    response = answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\nhello\r\n0\r\n\r\n")
    with pytest.raises(http.client.HTTPException):
        response.read()


def test_trailers_without_an_end_are_refused():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert answer(head + b"5;x=1\r\nhello\r\n0\r\nA: b\r\n\r\n").read() == b"hello"
    with pytest.raises(http.client.HTTPException, match="trailers"):
        answer(head + b"0\r\n" + b"A: b\r\n" * (MAX_TRAILERS + 1)).read()
