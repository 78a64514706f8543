"""How one server is reached: directly or through its proxy, with the authorities that vouch for its certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tritonops.models.http.certificate_authorities import Authorities
from tritonops.models.http.proxies import Proxy

if TYPE_CHECKING:
    import urllib3


@dataclass(frozen=True)
class Route:
    """How to reach a server: connections to it or through its proxy, which may want absolute URLs."""

    pool: urllib3.HTTPConnectionPool
    is_absolute: bool
    proxy: Proxy | None
    authorities: Authorities
