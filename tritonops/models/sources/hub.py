"""The Hugging Face Hub: its URLs, and the token that it gets."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tritonops.errors import SettingsError, SourceError
from tritonops.files import expand_home
from tritonops.models.catalog.catalog import HubSource
from tritonops.models.http.address import Address

if TYPE_CHECKING:
    from tritonops.settings import Settings


@cache
def stored_token() -> str | None:
    """Find the token of `hf auth login`; huggingface_hub is asked, and imported, only where there can be one."""
    if not (os.environ.get("HUGGING_FACE_HUB_TOKEN") or _token_path().exists()):
        return None
    from huggingface_hub import get_token

    try:
        token = get_token()
    except (OSError, ValueError) as exc:
        raise SourceError(f"cannot read the token of `hf auth login`, {_token_path()}: {exc}") from exc
    if token and not re.fullmatch("[!-~]+", token):
        raise SourceError(
            f"{_token_path()} holds no token: one is printable ASCII without spaces", hint="hf auth login"
        )
    return token


def _token_path() -> Path:
    """Where huggingface_hub keeps it. Raises SettingsError for the home of a user who does not exist."""
    for name, rest in (("HF_TOKEN_PATH", ""), ("HF_HOME", "/token"), ("XDG_CACHE_HOME", "/huggingface/token")):
        if folder := os.environ.get(name):
            try:
                return Path(os.path.expandvars(expand_home(f"{folder}{rest}")))
            except ValueError as exc:
                raise SettingsError(f"{name}={folder!r} in the environment: {exc}") from exc
    return Path(os.path.expanduser("~/.cache/huggingface/token"))  # noqa: PTH111 (Path.expanduser fails without a home)


@dataclass(frozen=True)
class Hub:
    """The Hub, or a mirror of it."""

    endpoint: str
    token: str | None = field(repr=False)
    """None means the one that `hf auth login` stored, where somebody did."""
    is_anonymous: bool = False
    """No token is sent that was not given for the one request: HF_HUB_DISABLE_IMPLICIT_TOKEN."""
    is_offline: bool = False
    """No request is sent, to the Hub or any other server: HF_HUB_OFFLINE."""

    @classmethod
    def of(cls, settings: Settings) -> Hub:
        """The Hub that the settings name."""
        return cls(settings.hf_endpoint, settings.hf_token, not settings.hf_implicit_token, settings.hf_offline)

    def address(self, path: str) -> Address:
        """Make an address of the Hub; the token goes nowhere else."""
        token = None if self.is_anonymous else self.token or stored_token()
        return Address(f"{self.endpoint}/{path}", token)

    def file(self, source: HubSource, commit: str, path: str) -> Address:
        """Where a file of a repository can be had."""
        return self.address(f"{source.repo_id}/resolve/{quote(commit, safe='')}/{quote(path)}")
