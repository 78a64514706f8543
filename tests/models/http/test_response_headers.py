"""Headers: believed where they are what they should be, and refused otherwise."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritonops.errors import SourceError
from tritonops.models.http.response_headers import ContentRange, content_length, content_range, location


def test_lengths_and_ranges_are_read():
    assert content_length({}) is None
    assert content_length({"Content-Length": "0"}) == 0
    assert content_length({"Content-Length": " 7000 "}) == 7000
    assert content_range({"Content-Range": "bytes 5-9/100"}) == ContentRange(5, 10, 100)
    assert content_range({"Content-Range": "bytes 0-0/*"}) == ContentRange(0, 1, None)


@pytest.mark.parametrize(
    "value", ["", "-1", "+1", "1.0", "1_0", "0x1", "²", "٣", "1, 1", "1, 2", "9" * 5000, "1e3", "\x1b1"]
)
def test_what_is_no_length_is_refused(value):
    with pytest.raises(SourceError, match="malformed: Content-Length"):
        content_length({"Content-Length": value})


@pytest.mark.parametrize(
    "value",
    ["", "bytes 5-4/100", "bytes 0-100/100", "bytes 0-²/9", "bytes 0-9/٣", "items 0-1/2", "bytes */5", "bytes 0-9"],
)
def test_what_is_no_range_is_refused(value):
    with pytest.raises(SourceError, match="malformed: Content-Range"):
        content_range({"Content-Range": value})


def test_a_length_of_a_chunked_body_is_refused():
    with pytest.raises(SourceError, match="both"):
        content_length({"Content-Length": "5", "Transfer-Encoding": "chunked"})


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("/api/resolve-cache/x?y=z", "/api/resolve-cache/x?y=z"),
        ("https://cdn.example/a%20b?X-Amz-Signature=a%2Fb&x=1", "https://cdn.example/a%20b?X-Amz-Signature=a%2Fb&x=1"),
        ("//cdn.example:8443/x", "//cdn.example:8443/x"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("/a b/é".encode().decode("latin-1"), "/a%20b/%C3%A9"),
        ("?page=2", "?page=2"),
    ],
)
def test_where_a_redirect_leads_is_read(value, found):
    assert location(value) == found


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("http://[::1", "not a URL"),
        ("http://host:port/", "not a URL"),
        ("http://host:99999/", "not a URL"),
        ("http://host:0/", "port 0"),
        ("http://ho\x1bst/", "control characters"),
        ("/a\x85b", "control characters"),
        ("file:///etc/passwd", "not HTTP but file"),
        ("ftp://host/", "not HTTP but ftp"),
        ("data:,x", "not HTTP but data"),
        ("http:///x", "without a host"),
        ("https:x", "without a host"),
        ("http://user:secret@host/", "a user name or a password"),
        ("/" + "x" * 20_000, "20,001 characters"),
    ],
)
def test_where_no_redirect_may_lead_is_refused(value, reason):
    with pytest.raises(SourceError, match=reason) as caught:
        location(value)
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_whatever_a_header_says_is_read_or_refused(value):
    for read in (
        lambda: content_length({"Content-Length": value}),
        lambda: content_range({"Content-Range": f"bytes {value}"}),
        lambda: location(value),
    ):
        with suppress(SourceError):
            read()
