"""The data of a session, part by part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritonops.remote.ssh.exchange import AfterMarker, Lines

MARKER = b"tritonops-1234"


def test_lines_are_handed_on_as_soon_as_they_are_whole():
    seen: list[str] = []
    lines = Lines(seen.append)
    lines.write(b"one\ntw")
    assert seen == ["one"]
    lines.write(b"o\n\nthree")
    assert seen == ["one", "two", ""]
    lines.end()
    assert seen == ["one", "two", "", "three"]
    assert lines.text == "one\ntwo\n\nthree"


def test_bytes_that_are_no_text_are_replaced_and_text_may_not_be_kept():
    lines = Lines(None, keeps_text=False)
    lines.write(b"\xff\n")
    assert lines.text == ""
    kept = Lines(None)
    kept.write(b"\xff\n")
    assert kept.text == "\ufffd\n"


@given(st.binary(max_size=60), st.binary(max_size=60), st.lists(st.integers(0, 200), max_size=6))
def test_what_follows_the_marker_passes_whatever_the_parts(before: bytes, after: bytes, cuts: list[int]):
    data = before + MARKER + b"\n" + after
    lines = Lines(None)
    stream = AfterMarker(MARKER, lines)
    ends = sorted(min(cut, len(data)) for cut in cuts)
    for start, end in zip([0, *ends], [*ends, len(data)], strict=True):
        stream.write(data[start:end])
    stream.end()
    assert stream.is_found
    assert stream.before == before
    assert lines.text == after.decode(errors="replace")


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_without_the_marker_nothing_passes_and_the_beginning_is_kept(size):
    lines = Lines(None)
    stream = AfterMarker(MARKER, lines)
    for _ in range(10):
        stream.write(b"x" * (size // 10))
    stream.end()
    assert (stream.is_found, lines.text) == (False, "")
    assert stream.before == b"x" * min(size, 4000)
