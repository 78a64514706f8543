"""A URL with the credentials for its origin."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit


@dataclass(frozen=True)
class Address:
    """A URL, and the token for its origin, which is sent to no other."""

    url: str
    token: str | None = field(default=None, repr=False)

    def redirected(self, location: str) -> Address:
        """Follow a redirect: the token stays behind where it leads to another origin."""
        target = location if location.startswith(("http://", "https://")) else urljoin(self.url, location)
        return Address(target, self.token if origin(target) == origin(self.url) else None)


def origin(url: str) -> str:
    """Return scheme, host and port, which decide who may see a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"
