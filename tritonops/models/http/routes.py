"""How each server is reached: its proxy, and the authorities that vouch for its certificate."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

from tritonops.display_text import one_line
from tritonops.errors import SourceError
from tritonops.models.http.address_with_token import origin
from tritonops.models.http.certificate_authorities import Authorities, find_authorities, trust
from tritonops.models.http.proxies import find_proxy
from tritonops.models.http.route import Route
from tritonops.models.http.watchdog import Watchdog, watched
from tritonops.redaction import redact


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
        trust(pool, authorities)
        pool.ConnectionCls = watched(pool.ConnectionCls, self._watchdog)
        is_absolute = proxy is not None and not is_tls and proxy.url.startswith("http")
        return Route(pool, is_absolute, proxy, authorities)
