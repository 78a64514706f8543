"""Twenty kills: a 300 MB download is ended with SIGKILL at a random moment, and run again.

    ./inv bench kills

For each: does the next run complete and verify, how many bytes did the server send for both runs together, and did
anything but complete versions ever stand in triton/? Exits 1 where the answer is not what it should be.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from _timing import PROJECT
from download import HubProcess, Scenario, ours

KILLS = int(os.environ.get("KILLS", "20"))
SIZE = 300_000_000
MOST = 1.15
"""Bytes that the server may send for the killed and the completing run together, by the file's size."""
SCENARIO = Scenario("", {"bench/m0": {"lfs": {"model.onnx": SIZE}}}, 10e6, 0.010)


def main() -> None:
    """Kill it as often as that, and print one line each."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        served = Path(temporary, "hub")
        served.mkdir()
        hub = HubProcess(SCENARIO, served)
        try:
            sha256 = _sha256(next(served.iterdir()))
            sent = [_killed_once(hub, Path(temporary, "project"), sha256) for _ in range(KILLS)]
        finally:
            hub.close()
    print(f"{KILLS} kills: at most {max(sent):.3f} × the size was sent, in the mean {sum(sent) / len(sent):.3f} ×")
    if max(sent) > MOST:
        raise SystemExit(f"more than {MOST} ×")


def _killed_once(hub: HubProcess, folder: Path, sha256: str) -> float:
    folder.mkdir()
    hub.count()
    process = _start(hub, folder)
    moment = random.uniform(0.0, 1.2)
    while not list(folder.glob(".store/partial/*")) and process.poll() is None:
        time.sleep(0.005)
    deadline = time.monotonic() + moment
    while time.monotonic() < deadline and process.poll() is None:
        _require_whole(folder, sha256, hashing=False)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _require_whole(folder, sha256, hashing=True)
    before = hub.count().get("bytes", 0)
    if _start(hub, folder).wait() != 0:
        raise SystemExit("the run after the kill failed")
    after = hub.count().get("bytes", 0)
    if not _require_whole(folder, sha256, hashing=True):
        raise SystemExit("the run after the kill installed nothing")
    shutil.rmtree(folder)
    print(f"killed after {moment:4.2f} s of fetching: {before / 1e6:6.1f} MB sent before, {after / 1e6:6.1f} MB after")
    return (before + after) / SIZE


def _start(hub: HubProcess, folder: Path) -> subprocess.Popen[bytes]:
    environment = {"MODELS_TOML": f"{folder}/models.toml", "TRITON_MODELS_DIR": f"{folder}/triton"}
    env = {**os.environ, "HF_ENDPOINT": hub.endpoint, **environment}
    return subprocess.Popen(ours(hub, folder), env=env, cwd=PROJECT, stderr=subprocess.DEVNULL)


def _require_whole(folder: Path, sha256: str, *, hashing: bool) -> bool:
    """Look whether the version is there; if it is, it has to be complete."""
    model = folder / "triton" / "m0"
    if not model.exists():
        return False
    if [path.name for path in model.iterdir()] != ["1"] or (model / "1" / "model.onnx").stat().st_size != SIZE:
        raise SystemExit("triton/ has a partial version")
    if hashing and _sha256(model / "1" / "model.onnx") != sha256:
        raise SystemExit("triton/ has wrong bytes")
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
