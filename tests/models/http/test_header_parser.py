import http.client
import io

import pytest

from tritonops.models.http.header_parser import MAX_FIELDS, MAX_LINE, read_header_fields


def read(*lines):
    return read_header_fields(io.BytesIO(b"".join(line + b"\r\n" for line in (*lines, b"", b"the body"))))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"Content-Length: 5", b'ETag: "a:b"', b"X-Empty:"],
        [b"content-length:5", b"Set-Cookie: a", b"set-cookie: b"],
        [b"X-Latin: caf\xe9", b"X-Blank: \t a b \t"],
        [b"Content-Type: multipart/mixed; boundary=x"],
    ],
)
def test_fields_are_those_that_http_client_reads(lines):
    ours = read(*lines)
    theirs = http.client.parse_headers(io.BytesIO(b"".join(line + b"\r\n" for line in (*lines, b""))))
    names = {name.lower() for name in theirs}
    assert {name.lower() for name in ours} == names
    for name in names:
        assert [value.strip(" \t") for value in theirs.get_all(name, [])] == ours.get_all(name)
        assert ours.get(name.upper()) == ours.get_all(name)[0]
        assert name.title() in ours
    assert len(ours.items()) == len(lines)
    assert ours.get("X-None") is None
    assert ours.get_all("X-None", []) == []


def test_a_folded_value_goes_on_on_its_next_line():
    assert read(b"X-Long: one", b"  two", b"\tthree", b"X-Next: 1").items() == [
        ("X-Long", "one two three"),
        ("X-Next", "1"),
    ]


def test_the_body_is_left_in_the_stream():
    stream = io.BytesIO(b"A: 1\r\n\r\nthe body")
    read_header_fields(stream)
    assert stream.read() == b"the body"


@pytest.mark.parametrize(
    "line", [b"no colon", b": no name", b"two words: 1", b" folded first", b"caf\xe9: 1", b"A\x00: 1", b"A : 1"]
)
def test_a_line_that_is_no_field_is_an_error(line):
    with pytest.raises(http.client.HTTPException, match="malformed"):
        read(line)


def test_fields_without_end_and_lines_without_end_are_errors():
    assert len(read(*[b"A: 1"] * MAX_FIELDS).items()) == MAX_FIELDS
    with pytest.raises(http.client.HTTPException, match="more than 100 headers"):
        read(*[b"A: 1"] * (MAX_FIELDS + 1))
    with pytest.raises(http.client.LineTooLong):
        read(b"A: " + b"x" * MAX_LINE)
