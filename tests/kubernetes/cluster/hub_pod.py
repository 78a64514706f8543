"""The Hub of these tests in a pod: python -m tests.kubernetes.cluster.hub_pod ADDRESS PORT FOLDER.

The folder has a JSON file of what was pushed, in order, so that this Hub and that of the tests have the same commits.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from pathlib import Path

from tests.hub.server import Hub

PUSHES = "pushes.json"


def replay(hub: Hub, folder: Path) -> list[str]:
    """Push what the folder says, and give the commits."""
    pushes = json.loads((folder / PUSHES).read_text())
    return [
        hub.push(push["repo_id"], {path: folder / file for path, file in push["files"].items()}, branch=push["branch"])
        for push in pushes
    ]


def main() -> None:
    """Serve until the pod ends."""
    address, port, folder = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work, Hub(Path(work), address=address, port=int(port)) as hub:
        replay(hub, Path(folder))
        threading.Event().wait()


if __name__ == "__main__":
    main()
