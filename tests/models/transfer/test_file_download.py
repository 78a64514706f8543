"""The states of one file."""

from tests.models.transfer.network import MB, remote_file
from tritonops.errors import SourceError
from tritonops.models.http.address_with_token import Address
from tritonops.models.transfer.file_download import FileDownload, FileState

CDN = Address("https://cdn/x")


def opened(size=8 * MB, arrived=()):
    download = FileDownload(remote_file(1, size))
    download.opened(list(arrived), 0.0)
    return download


def claim(download, limit=2 * MB):
    part = download.claim(limit)
    assert part
    return part


def located(download):
    download.set_url(claim(download), CDN)
    return download


def test_nothing_is_claimed_before_the_file_is_open():
    assert FileDownload(remote_file(1, MB)).claim(MB) is None


def test_ranges_follow_each_other_and_leave_no_stub():
    download = located(opened(5 * MB))
    parts = [claim(download) for _ in range(1)]
    assert [(part.start, part.end) for part in parts] == [(2 * MB, 5 * MB)]
    assert download.claim(2 * MB) is None


def test_what_an_earlier_run_left_is_not_fetched():
    part = claim(opened(8 * MB, [(0, 3 * MB), (6 * MB, 8 * MB)]), 8 * MB)
    assert (part.start, part.end) == (3 * MB, 6 * MB)


def test_the_others_wait_until_a_range_has_found_the_bytes():
    download = opened()
    first = claim(download)
    assert first.is_locating
    assert download.claim(MB) is None
    download.set_url(first, CDN)
    assert claim(download).url == CDN


def test_a_url_that_has_expired_is_looked_up_again_by_one_range():
    download = located(opened())
    parts = [claim(download), claim(download)]
    download.invalidate_url(CDN)
    assert download.assign_url(parts[0])
    assert parts[0].is_locating
    assert not download.assign_url(parts[1])


def test_a_url_that_was_replaced_meanwhile_is_kept():
    download = located(opened())
    download.invalidate_url(Address("https://cdn/older"))
    assert download.url == CDN


def test_a_range_that_was_not_fetched_is_claimed_again_from_where_it_came_to():
    download = opened()
    part = claim(download)
    part.position = MB
    download.settle(part)
    again = claim(download)
    assert (again.start, again.is_hashing) == (MB, True)
    assert download.received == MB


def test_bytes_that_arrive_out_of_order_are_hashed_when_they_are_next():
    download = opened(4 * MB, [(2 * MB, 4 * MB)])
    assert download.claim_hash() is None
    part = claim(download)
    part.position = 2 * MB
    download.settle(part)
    assert download.claim_hash() == (2 * MB, 4 * MB)
    assert download.claim_hash() is None
    download.hashed((2 * MB, 4 * MB))
    assert download.is_complete


def test_a_corrupt_file_is_reset_when_its_last_range_has_ended():
    download = located(opened())
    parts = [*download._in_flight, claim(download)]
    download.check_etag("a")
    download.check_etag("b")
    assert download.state is FileState.CORRUPT
    for part in parts:
        assert not download.needs_reset
        download.settle(part)
    assert download.needs_reset
    download.reset()
    assert (download.state, download.received, download.url) == (FileState.ACTIVE, 0, None)


def test_a_second_corruption_fails_with_its_reason():
    download = opened()
    for _ in range(2):
        download.mark_corrupt("it is wrong")
        download.reset()
    assert download.is_over
    assert "m1/1/model.onnx: it is wrong, twice in a row" in str(download.result)


def test_a_corrupt_file_that_fails_is_emptied_first():
    download = opened()
    download.mark_corrupt("it is wrong")
    download.fail(SourceError("gone"))
    assert download.needs_reset
    download.reset()
    assert str(download.result) == "gone"


def test_a_failed_file_is_over_when_its_last_range_has_ended():
    download = opened()
    part = claim(download)
    download.fail(SourceError("gone"))
    assert not download.is_over
    assert download.is_unwritable
    download.settle(part)
    assert download.is_over
