"""System calls that fail as they do on NFS, FUSE and other filesystems that lack them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def failing(folder: Path, **calls: int) -> dict[str, str]:
    """The environment of a process whose `flock`, `link`, `symlink` or `fsync` fails with this error number.

    The process may set FAULTS in its own environment to other failures: "link=18,fsync=22".
    """
    if not shutil.which("gcc"):
        pytest.skip("no gcc to build the fault-injecting library with")
    library = folder / "faults.so"
    if not library.exists():
        source = Path(__file__).with_name("preload.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    faults = ",".join(f"{name}={number}" for name, number in calls.items())
    return {**os.environ, "LD_PRELOAD": str(library), "FAULTS": faults}
