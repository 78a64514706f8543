"""Addresses of the Hub, and the token that goes with them."""

import pytest

from tritonops.models.catalog.catalog import HubSource
from tritonops.models.sources.hub_address import Hub


def write(folder, text):
    path = folder / "token"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("token", "is_anonymous", "expected"),
    [("hf_given", False, "hf_given"), (None, False, "hf_stored"), ("hf_given", True, None), (None, True, None)],
)
def test_the_token_of_the_settings_wins_over_the_stored_one(tmp_path, token, is_anonymous, expected):
    hub = Hub("https://hub.example", token, is_anonymous=is_anonymous, token_path=write(tmp_path, "hf_stored"))
    assert hub.address("api/x").token == expected


def test_a_path_is_quoted_and_the_slash_of_a_revision_too():
    hub = Hub("https://hub.example", None)
    source = HubSource("team/one", "refs/pr/1")
    assert hub.file(source, "refs/pr/1", "a b/ü.onnx").url == (
        "https://hub.example/team/one/resolve/refs%2Fpr%2F1/a%20b/%C3%BC.onnx"
    )
