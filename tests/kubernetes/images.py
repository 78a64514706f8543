"""The init container's image, built once for all workers of a test run."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
from pathlib import Path

from tasks.shared.checkout import uv
from tests.paths import PROJECT
from tests.runs import run_id
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.compose.engine.docker import Docker
from tritonops.kubernetes.build import InitImageSource, build

SOURCE = InitImageSource(PROJECT)


def init_image() -> str:
    """Build the image, on the base that these tests have, unless another worker did; give its name."""
    name = f"localhost/tritonops-tests:{run_id()}"
    with (Path(tempfile.gettempdir()) / f"tritonops-image-{run_id()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _has(name):
            build(Docker(PROJECT), SOURCE, uv=uv(), watch=lambda line: None, tag=name, base_image=CPU_IMAGE)
    return name


def remove_init_image() -> None:
    """Remove what this run built."""
    lock = Path(tempfile.gettempdir()) / f"tritonops-image-{run_id()}.lock"
    if lock.exists():
        lock.unlink()
        subprocess.run(
            ["docker", "image", "rm", "--force", f"localhost/tritonops-tests:{run_id()}"],
            check=False,
            capture_output=True,
        )


def _has(name: str) -> bool:
    done = subprocess.run(["docker", "image", "inspect", name], check=False, capture_output=True)
    return done.returncode == 0
