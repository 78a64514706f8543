"""The certificate authorities that a server's certificate is checked against, as the environment names them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tritonops.errors import SourceError

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


def find_authorities(environ: Mapping[str, str]) -> Authorities:
    """Read which authorities to trust: one bundle of REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, as requests does, else
    SSL_CERT_FILE and SSL_CERT_DIR together, as OpenSSL and curl do. Raises SourceError for what cannot be used.
    """
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if path := environ.get(name):
            found = Authorities(None, path, name) if Path(path).is_dir() else Authorities(path, None, name)
            return _usable(found)
    names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if environ.get(name)]
    file, folder = environ.get("SSL_CERT_FILE") or None, environ.get("SSL_CERT_DIR") or None
    return _usable(Authorities(file, folder, " and ".join(names)))


def _usable(authorities: Authorities) -> Authorities:
    file, folder = authorities.file, authorities.folder
    if folder and not any(Path(part).is_dir() for part in folder.split(os.pathsep)):
        raise SourceError(f"{authorities.variables} names {folder}, which is not a folder")
    if file:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        except (OSError, ValueError) as exc:
            reason = (
                "no such file" if isinstance(exc, FileNotFoundError) else f"no certificates can be read from it ({exc})"
            )
            raise SourceError(f"{authorities.variables} names {file}: {reason}") from exc
    return authorities


def trust(pool: urllib3.HTTPConnectionPool, authorities: Authorities) -> None:
    """Let the connections of a pool check certificates against these."""
    import urllib3

    if not isinstance(pool, urllib3.HTTPSConnectionPool):
        return
    pool.cert_reqs = "CERT_REQUIRED"
    pool.ca_certs, pool.ca_cert_dir = authorities.file, authorities.folder
    if not (authorities.file or authorities.folder):
        import certifi

        pool.ca_certs = certifi.where()
