"""Routes to servers: proxies and certificate authorities, as the environment names them."""

from __future__ import annotations

import os
import ssl
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tritonops.display_text import one_line
from tritonops.errors import SourceError
from tritonops.models.http.address import origin
from tritonops.models.http.route import Authorities, Proxy, Route
from tritonops.models.http.watchdog import Watchdog, watched
from tritonops.redaction import SERVER_URL, redact

if TYPE_CHECKING:
    import urllib3

_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


class Routes:
    """Routes by origin, each found once; all share one pool of connections."""

    def __init__(self, watchdog: Watchdog, environ: Mapping[str, str], *, max_connections: int) -> None:
        from requests.adapters import HTTPAdapter

        self._adapter = HTTPAdapter(pool_connections=16, pool_maxsize=max_connections)
        self._watchdog, self._environ = watchdog, environ
        self._routes: dict[str, Route] = {}
        self._finding = threading.Lock()

    def close(self) -> None:
        """Close the idle connections."""
        self._adapter.close()

    def to(self, url: str) -> Route:
        """Find the route to a server. Credentials of ~/.netrc are not sent. Raises SourceError."""
        server = origin(url)
        if (route := self._routes.get(server)) is None:
            with self._finding:
                route = self._routes.get(server) or self._find(url)
                self._routes[server] = route
        return route

    def _find(self, url: str) -> Route:
        import requests
        import urllib3

        proxy = find_proxy(url, self._environ)
        is_tls = url.startswith("https:")
        authorities = (
            find_authorities(self._environ) if is_tls or (proxy and proxy.url.startswith("https:")) else Authorities()
        )
        proxies = {urlsplit(url).scheme: proxy.url} if proxy else {}
        try:
            request = requests.Request("GET", url).prepare()
            pool = self._adapter.get_connection_with_tls_context(request, True, proxies=proxies)
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as exc:
            what = f"{proxy.variable} is not the URL of a proxy" if proxy else f"{redact(url)} is not a URL"
            raise SourceError(f"{what}: {one_line(str(exc))}") from exc
        assert isinstance(pool, urllib3.HTTPConnectionPool)
        _trust(pool, authorities)
        pool.ConnectionCls = watched(pool.ConnectionCls, self._watchdog)
        is_absolute = proxy is not None and not is_tls and proxy.url.startswith("http")
        return Route(pool, is_absolute, proxy, authorities)


def find_proxy(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Find the proxy for a URL: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY or the system's, unless NO_PROXY names the host."""
    variable = _proxy_variable(urlsplit(url).scheme, environ)
    if variable is None:
        value, variable = _system_proxy(url), "the system's settings"
    else:
        no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        value = None if is_excluded(url, no_proxy) else environ[variable]
    return _checked_proxy(value, variable) if value else None


def _proxy_variable(scheme: str, environ: Mapping[str, str]) -> str | None:
    """Name the variable that decides on the proxy; lower case wins, also where it is empty."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        if name in environ:
            if environ[name]:
                return name
        elif not (name == "http_proxy" and "REQUEST_METHOD" in environ):  # in CGI, a client's header Proxy
            spellings = (name.upper(), *(other for other in environ if other.lower() == name))
            if variable := next((spelling for spelling in spellings if environ.get(spelling)), None):
                return variable
    return None


def _system_proxy(url: str) -> str | None:
    """Ask macOS or Windows, where no variable is set."""
    if sys.platform not in ("darwin", "win32"):
        return None
    from requests.utils import get_environ_proxies, select_proxy

    return select_proxy(url, get_environ_proxies(url))


def is_excluded(url: str, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host of a URL, as requests reads it: names, their endings, addresses, networks."""
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

    from requests.utils import address_in_network, is_ipv4_address, is_valid_cidr

    parts, hosts = urlsplit(url), [host for host in no_proxy.replace(" ", "").split(",") if host]
    if parts.hostname is None:
        return True
    if is_ipv4_address(parts.hostname):
        networks = [host for host in hosts if is_valid_cidr(host)]
        if parts.hostname in hosts or any(address_in_network(parts.hostname, network) for network in networks):
            return True
    elif parts.hostname.endswith(tuple(hosts)) or f"{parts.hostname}:{parts.port}".endswith(tuple(hosts)):
        return True
    return bool(proxy_bypass_environment(parts.hostname, {"no": no_proxy}))


def _checked_proxy(value: str, variable: str) -> Proxy:
    proxy = Proxy(value if "://" in value else f"http://{value}", variable)
    if not (match := SERVER_URL.fullmatch(proxy.url)):
        hint = "Write http://HOST:PORT, and special characters of a user name or a password as %XX."
        raise SourceError(f"{variable} is not the URL of a proxy", hint=hint)
    scheme = match["scheme"].lower()
    if scheme not in _PROXY_SCHEMES:
        raise SourceError(
            f"{variable} names a proxy of an unknown kind, {scheme!r}",
            hint="socks5h://HOST:PORT is a SOCKS proxy; http://HOST:PORT is the usual kind.",
        )
    return proxy


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


def _trust(pool: urllib3.HTTPConnectionPool, authorities: Authorities) -> None:
    import urllib3

    if not isinstance(pool, urllib3.HTTPSConnectionPool):
        return
    pool.cert_reqs = "CERT_REQUIRED"
    pool.ca_certs, pool.ca_cert_dir = authorities.file, authorities.folder
    if not (authorities.file or authorities.folder):
        import certifi

        pool.ca_certs = certifi.where()
