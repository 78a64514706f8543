"""The one-node cluster of this machine: started by the first test that needs it, ended with the tests."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.paths import PROJECT
from tests.runs import is_own, run_id

_FOLDER = Path(os.environ.get("TRITONOPS_CLUSTER", "/var/lib/tritonops-cluster"))
_RUN, _OWNER = _FOLDER / "run", _FOLDER / "run/owner"
ADMIN, GUEST, DEPLOYER = (_RUN / f"{user}.kubeconfig" for user in ("admin", "guest", "deployer"))
CONTEXT = "tests"


def missing() -> str | None:
    """Say what this machine lacks; None where it has all."""
    if os.getuid():
        return "only root can start a cluster"
    if not (_FOLDER / "bin/kubelet").exists():
        return "no cluster, `.ci/cluster build` builds one"
    return None


def start() -> None:
    """Start the cluster, unless another worker did, or somebody by hand."""
    with _locked():
        if _owner() not in ("", run_id()):
            _script("start", run_id())


def stop() -> None:
    """End the cluster, if this run started it."""
    if is_own() and os.getuid() == 0 and _owner() == run_id():
        with _locked():
            _script("stop")


def _owner() -> str | None:
    """The process that the cluster was started for, "" for none; None where no cluster runs."""
    return _OWNER.read_text().strip() if _OWNER.exists() else None


def _script(*words: str) -> None:
    done = subprocess.run([PROJECT / ".ci/cluster", *words], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


@contextmanager
def _locked() -> Iterator[None]:
    with (_FOLDER / "tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
