"""The Hugging Face Hub: its URLs, and the token that is sent to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tritonops.models.catalog.catalog import HubSource
from tritonops.models.http.address_with_token import Address
from tritonops.models.sources.hub_token import stored_token

if TYPE_CHECKING:
    from tritonops.settings import Settings


@dataclass(frozen=True)
class Hub:
    """The Hub, or a mirror of it."""

    endpoint: str
    token: str | None = field(repr=False)
    """None means the stored one."""
    is_anonymous: bool = False
    """No token is sent that was not given for the one request: HF_HUB_DISABLE_IMPLICIT_TOKEN."""
    is_offline: bool = False
    """No request is sent, to the Hub or any other server: HF_HUB_OFFLINE."""
    token_path: Path | None = None
    """Where `hf auth login` stores a token."""

    @classmethod
    def of(cls, settings: Settings) -> Hub:
        """The Hub that the settings name."""
        return cls(
            settings.hf_endpoint,
            settings.hf_token,
            is_anonymous=not settings.hf_implicit_token,
            is_offline=settings.hf_offline,
            token_path=settings.hf_token_path,
        )

    def address(self, path: str) -> Address:
        """Make an address of the Hub; the token goes nowhere else."""
        stored = stored_token(self.token_path) if self.token_path and not (self.token or self.is_anonymous) else None
        token = None if self.is_anonymous else self.token or stored
        return Address(f"{self.endpoint}/{path}", token)

    def file(self, source: HubSource, commit: str, path: str) -> Address:
        """Where a file of a repository can be had."""
        return self.address(f"{source.repo_id}/resolve/{quote(commit, safe='')}/{quote(path)}")
