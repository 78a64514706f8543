"""What a worker makes of a server's answer."""

from types import SimpleNamespace

import pytest

from tritonops.errors import SourceError
from tritonops.models.transfer.byte_range import ByteRange
from tritonops.models.transfer.worker import _has_bytes_of

SIZE = 1000


def answer(status=206, **headers):
    return SimpleNamespace(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_the_range_that_was_asked_for_is_usable():
    assert _has_bytes_of(answer(Content_Range="bytes 100-199/1000", Content_Length="100"), SIZE, ByteRange(100, 200))


@pytest.mark.parametrize(
    ("part", "is_usable"),
    [(ByteRange(0, SIZE), True), (ByteRange(500, SIZE, to_end_of_file=True), True), (ByteRange(0, 500), False)],
)
def test_the_whole_file_is_usable_only_where_it_was_asked_for(part, is_usable):
    assert _has_bytes_of(answer(200, Content_Length="1000"), SIZE, part) is is_usable


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (answer(Content_Range="bytes 0-99/1000"), "other bytes than the ones that were asked for"),
        (answer(Content_Range="bytes 100-199/2000"), "2,000 bytes long there, and 1,000 are expected"),
        (answer(Content_Range="bytes 100-199/1000", Content_Encoding="gzip"), "sent it compressed"),
        (answer(), "Content-Range"),
    ],
)
def test_other_bytes_are_refused(response, reason):
    with pytest.raises(SourceError, match=reason):
        _has_bytes_of(response, SIZE, ByteRange(100, 200))
