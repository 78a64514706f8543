"""A Hub in a process of its own, for benchmarks: serves what it is told to, and counts requests.

    python benchmarks/_hub.py FOLDER < specification.json

It reads one line, {"rate": …, "latency": …, "repos": {REPO: {"lfs": {PATH: SIZE}, "small": {PATH: SIZE}}}}, answers
with one line, {"endpoint": …}, and then answers each further line with the requests and bytes since the last one.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _timing import PROJECT  # noqa: F401 - puts the project on the import path

from tests.hub.server import Hub, Link

BLOCK = random.Random(1).randbytes(1 << 22)


def main() -> None:
    folder = Path(sys.argv[1])
    specification = json.loads(sys.stdin.readline())
    with Hub(folder) as hub:
        for repo_id, files in specification["repos"].items():
            small = {path: _bytes(f"{repo_id} {path}", size) for path, size in files.get("small", {}).items()}
            hub.push(repo_id, _large(folder, repo_id, files["lfs"]), small=small)
        hub.link = Link(specification["rate"], specification["latency"])
        print(json.dumps({"endpoint": hub.endpoint}), flush=True)
        for _ in sys.stdin:
            print(json.dumps(_counted(hub)), flush=True)


def _large(folder: Path, repo_id: str, sizes: Mapping[str, int]) -> dict[str, bytes | Path]:
    made: dict[str, bytes | Path] = {}
    for path, size in sizes.items():
        made[path] = folder / f"{repo_id}-{path}".replace("/", "-")
        with Path(str(made[path])).open("wb") as file:
            file.write(_bytes(f"{repo_id} {path}", min(size, 64)))
            while left := size - file.tell():
                file.write(BLOCK[:left])
    return made


def _bytes(what: str, size: int) -> bytes:
    return what.encode().ljust(size, b".")[:size]


def _counted(hub: Hub) -> dict[str, Any]:
    kinds = Counter(_kind(seen.path) for seen in hub.seen)
    counted = {**kinds, "all": len(hub.seen), "bytes": hub.body_bytes}
    hub.seen.clear()
    hub.body_bytes = 0
    return counted


def _kind(path: str) -> str:
    return next((kind for kind in ("api", "resolve", "cdn") if f"/{kind}/" in path), "other")


if __name__ == "__main__":
    main()
