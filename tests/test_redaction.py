"""What of a URL may be shown."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritonops.documents import abbreviate
from tritonops.errors import PartialFailureError, SourceError, TritonOpsError
from tritonops.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:hunter2@host/x", "https://***@host/x"),
        ("https://hf_abc@host:8443/x", "https://***@host:8443/x"),
        ("https://user:p%40ss@[::1]:80/x", "https://***@[::1]:80/x"),
        ("https://user:p@ss/w?rd#1@host/x", "https://***@host/x"),
        ("https://user:123/ss@host/x", "https://***@host/x"),
        ("https://user:hunter2@host?X-Amz-Signature=abc#f", "https://***@host"),
        ("https://user:hunter2", "https://***"),
        ("socks5h://user:hunter2@proxy:1080", "socks5h://***@proxy:1080"),
        ("HTTPS://USER:hunter2@HOST", "HTTPS://***@HOST"),
        ("at https://cdn/x?sig=a,b)c, 'https://h/y?z=1'.", "at https://cdn/x, 'https://h/y'."),
        ("at https://h/redirect/https://u:hunter2@i/x", "at https://h/redirect/https://***@i/x"),
        ("(https://a/?to=https://u:hunter2@b/x)", "(https://a/)"),
        (
            "exceeded with url: /x?sig=abc (Caused by odd)",
            "exceeded with url: /x (Caused by odd)",
        ),
        ('"GET /x?X-Amz-Signature=abc HTTP/1.1" 200', '"GET /x HTTP/1.1" 200'),
        (f"refused hf_{'a' * 34}!", "refused hf_***!"),
        ("Authorization: Bearer abc.def-1=", "Authorization: Bearer ***"),
    ],
)
def test_passwords_and_queries_are_masked(text, shown):
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://host:8443/a/b",
        "http://[::1]:8000/x",
        "see https://host:80, https://host/org/model@main and https://host:443.",
        "hf:openfoodfacts/nutriscore-yolo@2a38f0c:weights/best.onnx as model.onnx",
        "alice@gpu-01:~/tritonops",
        "is it up? `inv server.status`",
        "hf_transfer and hf_model_of_ours",
        "/a/path? yes",
        "write socks5h://HOST:PORT or http://HOST:PORT.",
    ],
)
def test_everything_else_stays(text):
    assert redact(text) == text


WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=20)
USER = WORD.filter(lambda word: not set(word) & set("/?#"))
SURROUNDINGS = st.sampled_from([("", ""), ("'", "'"), ("(", ")"), ("error: ", ": odd"), ("a\n", "\n")])


@settings(max_examples=200, deadline=None)
@given(user=USER, password=WORD, around=SURROUNDINGS)
def test_no_password_survives_whatever_it_holds(user, password, around):
    secret = f"SECRET{password}SECRET"
    output = redact(f"{around[0]}https://{user}:{secret}@host.example/path?sig=SECRET{around[1]}")
    assert "SECRET" not in output
    assert "host.example" in output


@pytest.mark.parametrize("value", ["https://u:hun ter2@host/x", "https://u:hun\tter2 @host/x?y", " ftp://u ter2@host"])
def test_a_space_does_not_end_the_password_of_a_value_that_is_shown(value):
    assert "ter2" not in abbreviate(value)
    assert "***@host" in abbreviate(value)


def test_no_error_holds_one():
    url = "https://user:hunter2@host/x?sig=abc"
    errors = [
        TritonOpsError(f"no {url}", hint=f"try {url}"),
        SourceError(f"{url} answered 404"),
        PartialFailureError("not done", {"clip/1": f"{url} answered 404"}, hint=url),
    ]
    for error in errors:
        assert not re.search("hunter2|abc", error.in_one_line)
