"""The token that `hf auth login` stored."""

import pytest

from tests.models.sources.test_hub_address import write
from tritonops.errors import SourceError
from tritonops.models.sources.hub_token import stored_token


def test_the_token_of_hf_auth_login_is_read_without_its_newline(tmp_path):
    assert stored_token(write(tmp_path, "hf_stored\n")) == "hf_stored"


def test_no_stored_token_is_no_error(tmp_path):
    assert stored_token(tmp_path / "missing") is None
    assert stored_token(write(tmp_path, "\n")) is None


def test_what_no_header_can_carry_is_refused(tmp_path):
    with pytest.raises(SourceError, match="printable ASCII"):
        stored_token(write(tmp_path, "hf stored"))
