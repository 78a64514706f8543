"""The Hub's listing: read in pieces of any size, and refused where a value is not what it should be."""

import json
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hub.hostile import COMMIT, GIT_OID, PATH, SHA256, listing, sibling, small
from tritonops.errors import SourceError
from tritonops.models.sources.hub_answer import MAX_FILES, MAX_VALUE, HubFile, HubListing, parse_listing


def pieces(body, size):
    return (body[start : start + size] for start in range(0, len(body), size))


def parse(body, size=1 << 16, prefix="onnx/"):
    return parse_listing(pieces(body, size), lambda path: path.startswith(prefix))


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 16])
def test_a_listing_is_read_in_pieces_of_any_size(size):
    other = {"tags": ["a", 1.5e3, None, True, {"deep": [[]]}], "é": '\ud83d\ude00 " \\ '}
    body = json.dumps({**other, "sha": COMMIT, "siblings": [sibling("README.md"), sibling(), small("onnx/c")]})
    assert parse(f" {body}\n".encode(), size) == HubListing(
        COMMIT, [HubFile(PATH, 7000, SHA256, None), HubFile("onnx/c", 7000, None, GIT_OID)], ["README.md"]
    )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(), _JSON, max_size=4), st.integers(1, 40), st.booleans())
def test_whatever_else_a_listing_has_is_passed_over(members, size, escaped):
    document = {**{key: value for key, value in members.items() if key not in ("sha", "siblings")}, "sha": COMMIT}
    body = json.dumps({**document, "siblings": [sibling()]}, ensure_ascii=escaped)
    assert len(parse(body.encode(errors="replace"), size).files) == 1


@settings(max_examples=200, deadline=None)
@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()), st.data())
def test_whatever_else_comes_is_refused(noise, data):
    body = listing()
    at = data.draw(st.integers(0, len(body)))
    for broken in (noise, body[:at] + noise + body[at:], body[:at]):
        with suppress(SourceError):
            found = parse(broken, 50)
            assert found.commit == COMMIT
            assert all(file.size >= 0 for file in found.files)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (listing(small(size=-1)), "'onnx/model.onnx' has the size -1"),
        (listing(small(size=True)), "the size true"),
        (listing(small(size=1.0)), "the size 1.0"),
        (listing(small(size=1 << 51)), "the size 2251799813685248"),
        (listing(small(blobId="0" * 39)), "not 40 lower-case digits"),
        (listing(sibling(lfs={"size": 1, "sha256": SHA256.upper()})), "not 64 lower-case digits"),
        (listing(sibling("../x")), "not a path inside a repository"),
        (listing(sibling("x" * 256)), "longer than a file's name"),
        (listing(sibling("/".join(["x" * 200] * 6))), "longer than a file's name"),
        (listing(sibling(), sibling()), "the same name"),
        (listing(sibling(), sibling("onnx/Model.ONNX")), "the same name on some filesystems"),
        (listing(sibling("onnx/é"), sibling("onnx/e\u0301")), "the same name on some filesystems"),
        (listing(sibling("onnx/a"), sibling("onnx/a/b/c")), "a file and a folder"),
        (listing(sha="A" * 40), "not 40 or 64 hexadecimal digits"),
        (listing(sha="a" * 40 + "\n"), "not 40 or 64 hexadecimal digits"),
        (listing()[:-1] + b',"sha":"x"}', "'sha' twice"),
        (listing(sibling(x={"y": 1})).replace(b'"y": 1', b'"y": 1, "y": 2'), "a key twice"),
        (b'{"siblings": []}', "no 'sha'"),
        (b"[" * 100_000, "where '{' belongs"),
        (b'{"x": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"x": NaN}', "NaN"),
        (b'{"x": -Infinity}', "-Infinity"),
        (listing() + b"{}", "goes on behind its end"),
        (listing()[:30], "not JSON"),
        (b"", "ends early"),
        (b"\xff\xfe{", "not JSON in UTF-8"),
    ],
)
def test_what_is_wrong_is_refused_and_named(body, reason):
    with pytest.raises(SourceError) as caught:
        parse(body)
    assert reason in str(caught.value)


def test_what_is_read_of_a_large_listing_takes_little_memory():
    entry = json.dumps(sibling("elsewhere/model.onnx")).encode()
    body = b'{"sha": "' + COMMIT.encode() + b'", "siblings": [' + b",".join([entry] * 25_000) + b"]}"
    tracemalloc.start()
    parse(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6 < len(body)


def test_a_version_of_too_many_files_and_a_value_without_end_are_refused():
    with pytest.raises(SourceError, match="more than 10,000 files"):
        parse(listing(*(small(f"onnx/{number}") for number in range(MAX_FILES + 1))))
    with pytest.raises(SourceError, match="more than 2,097,152 characters"):
        parse(b'{"x": "' + b"y" * (2 * MAX_VALUE + 1) + b'"}')
