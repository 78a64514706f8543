"""Small decisions of the transport that no server has to be asked about."""

import email.utils
import time

import pytest

from tritonops.models.http.address import Address
from tritonops.models.http.errors import translated
from tritonops.models.http.headers import retry_after


@pytest.mark.parametrize(
    ("location", "keeps"),
    [
        ("/api/resolve-cache/x", True),
        ("https://hub.example/other", True),
        ("https://cdn.example/x", False),
        ("http://hub.example/x", False),
        ("https://hub.example:8443/x", False),
        ("//hub.example.evil/x", False),
    ],
)
def test_a_token_follows_a_redirect_only_within_its_origin(location, keeps):
    followed = Address("https://hub.example/x", "hf_secret").redirected(location)
    assert (followed.token == "hf_secret") is keeps


def test_retry_after_is_read_as_seconds_or_as_a_date():
    assert retry_after("7") == 7.0
    assert 50 < float(retry_after(email.utils.formatdate(time.time() + 60, usegmt=True)) or 0) <= 60
    assert retry_after(email.utils.formatdate(time.time() - 60, usegmt=True)) == 0.0
    assert retry_after("soon") is None
    assert retry_after(None) is None


def test_an_error_shows_no_signature():
    error = ConnectionError("exceeded with url: /cdn/x?X-Amz-Signature=abc (Caused by ProtocolError('odd'))")
    shown = str(translated(error, None, is_first_contact=False))
    assert "abc" not in shown
    assert "odd" in shown
