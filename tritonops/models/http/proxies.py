"""Which proxy a URL is reached through, as the environment names it, and which hosts NO_PROXY leaves out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tritonops.errors import SourceError
from tritonops.redaction import SERVER_URL, redact

_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


@dataclass(frozen=True)
class Proxy:
    """A proxy, and the variable that names it."""

    url: str
    variable: str

    def __str__(self) -> str:
        return f"{redact(self.url)} of {self.variable}"


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
