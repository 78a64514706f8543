"""The releases of each host as last seen, for completion, which does not wait for a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from tritonops.files import write_json
from tritonops.process_environment import cache_dir


def cache_releases(host: str, ids: Sequence[str]) -> None:
    """Remember the releases of a host. Without a folder to write to, nothing happens."""
    with suppress(OSError, RuntimeError):
        path = _path(host)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, list(ids))


def cached_releases(hosts: Sequence[str]) -> list[str]:
    """List the releases of these hosts, or of all, newest first."""
    with suppress(OSError, RuntimeError, ValueError):
        paths = [_path(host) for host in hosts] or sorted(_folder().glob("*.json"))
        return [str(release) for path in paths for release in json.loads(path.read_text(encoding="utf-8"))]
    return []


def _folder() -> Path:
    return cache_dir() / "releases"


def _path(host: str) -> Path:
    return _folder() / f"{quote(host, safe='')}.json"
