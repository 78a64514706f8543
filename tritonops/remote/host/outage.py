"""Measure how long models are not ready during a restart of Triton."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Collection
from urllib.parse import quote

_POLL = 0.05
_TIMEOUT = 1.0


class Outage(threading.Thread):
    """Polls the ports of the old and the new server for readiness of all `names` until the block ends."""

    def __init__(self, address: str, ports: Collection[int], names: Collection[str]) -> None:
        super().__init__(daemon=True)
        self._address, self._ports, self._names = address.strip("[]"), tuple(dict.fromkeys(ports)), tuple(names)
        self._ended = threading.Event()
        self._longest = 0.0

    @property
    def seconds(self) -> float | None:
        """The longest time without all of them ready; None without any names."""
        return round(self._longest, 2) if self._names else None

    def run(self) -> None:
        """Poll, and at the end once more."""
        last, failed = time.monotonic(), False
        while True:
            is_last, is_serving = self._ended.is_set(), self._is_serving()
            if failed and (is_serving or is_last):
                self._longest = max(self._longest, time.monotonic() - last)
            if is_serving:
                last = time.monotonic()
            failed = not is_serving
            if is_last:
                return
            self._ended.wait(_POLL)

    def _is_serving(self) -> bool:
        return any(all(self._is_ready(port, name) for name in self._names) for port in self._ports)

    def _is_ready(self, port: int, name: str) -> bool:
        connection = http.client.HTTPConnection(self._address, port, timeout=_TIMEOUT)
        try:
            connection.request("GET", f"/v2/models/{quote(name, safe='')}/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def __enter__(self) -> Outage:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self.join()
