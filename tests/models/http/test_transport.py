"""Small decisions of the transport that no server has to be asked about."""

import pytest

from tritonops.models.http.address_with_token import Address
from tritonops.models.http.errors import translated


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


def test_an_error_shows_no_signature():
    error = ConnectionError("exceeded with url: /cdn/x?X-Amz-Signature=abc (Caused by ProtocolError('odd'))")
    shown = str(translated(error, None, is_first_contact=False))
    assert "abc" not in shown
    assert "odd" in shown
