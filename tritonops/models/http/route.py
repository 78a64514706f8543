"""How one server is reached: its proxy, and the authorities that vouch for its certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tritonops.redaction import redact

if TYPE_CHECKING:
    import urllib3


@dataclass(frozen=True)
class Authorities:
    """Certificate authorities that a server's certificate is checked against; without a path, certifi's."""

    file: str | None = None
    folder: str | None = None
    """Of certificates named by hash; several, with `:` between them."""
    variables: str = ""

    def __str__(self) -> str:
        paths = " and ".join(path for path in (self.file, self.folder) if path)
        return f"{paths}, from {self.variables}" if paths else "the authorities of certifi"


@dataclass(frozen=True)
class Proxy:
    """A proxy, and the variable that names it."""

    url: str
    variable: str

    def __str__(self) -> str:
        return f"{redact(self.url)} of {self.variable}"


@dataclass(frozen=True)
class Route:
    """How to reach a server: connections to it or through its proxy, which may want absolute URLs."""

    pool: urllib3.HTTPConnectionPool
    is_absolute: bool
    proxy: Proxy | None
    authorities: Authorities
