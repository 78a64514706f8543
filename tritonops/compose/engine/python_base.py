"""Slim Python images to build on, and the locked packages that fit their Python.

Packages are fetched by hash on this machine and copied into a build, which needs no network and no pip, and leaves no
wheel in a layer.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.compose.engine.docker import Docker, Watch, last_lines
from tritonops.compose.engine.image import inspect_image
from tritonops.errors import DockerError, ImagePullError, InputError, TritonOpsError
from tritonops.files import read_text

_OLDEST_GLIBC = (2, 35)
_PROBE = (
    "import json, platform; print(json.dumps([platform.python_version(), platform.machine(), platform.libc_ver()]))"
)


@dataclass(frozen=True)
class PythonBase:
    """An image with a Python that packages can be installed for."""

    image: str
    python: str
    """Such as "3.12"."""
    machine: str
    """Such as "x86_64"."""

    def fetch_packages(self, uv: str, requirements: Path, target: Path) -> None:
        """Install locked packages into a folder, for this Python. Raises TritonOpsError."""
        options = ["--no-deps", "--require-hashes", "--no-build", "-r", str(requirements)]
        self._install(uv, target, options, what=str(requirements))

    def install_wheel(self, uv: str, wheel: Path, target: Path) -> None:
        """Install a wheel, without what it requires, into a folder. Raises TritonOpsError."""
        self._install(uv, target, ["--no-deps", str(wheel)], what=wheel.name)

    def _install(self, uv: str, target: Path, options: Sequence[str], *, what: str) -> None:
        command = [uv, "pip", "install", "--quiet", "--target", str(target), "--link-mode", "copy"]
        command += ["--python-version", self.python, "--python-platform", f"{self.machine}-manylinux_2_35", *options]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise TritonOpsError(f"{what} could not be fetched: {last_lines(done.stderr, 10)}")


@dataclass(frozen=True)
class BaseRequirements:
    """What an image needs of its base; `purpose` is what messages call it."""

    purpose: str
    pythons: tuple[str, ...]
    machines: tuple[str, ...]


def default_base(dockerfile: Path) -> str:
    """Read the base image that a Dockerfile names. Raises InputError."""
    found = re.search(r"^ARG BASE_IMAGE=(\S+)", read_text(dockerfile, 1 << 20), re.MULTILINE)
    if found is None:
        raise InputError(f"{dockerfile} names no BASE_IMAGE")
    return found[1]


def read_base(docker: Docker, base: str, needs: BaseRequirements, watch: Watch) -> PythonBase:
    """Read the Python of a base, which is pulled where it is missing.

    Raises ImagePullError, and InputError for a base that lacks what the image needs.
    """
    watch(f"reading the Python version of {base}")
    _require_image(docker, base, watch)
    try:
        answer = docker.output(["docker", "run", "--rm", "--entrypoint", "python3", base, "-c", _PROBE])
    except DockerError as exc:
        raise InputError(f"the base image {base} has no working python3") from exc
    version, machine, libc = json.loads(answer)
    python = ".".join(version.split(".")[:2])
    if python not in needs.pythons:
        raise InputError(f"{base} has Python {version}, but the {needs.purpose} needs {' or '.join(needs.pythons)}")
    if machine not in needs.machines:
        raise InputError(
            f"{base} is for {machine}, but the {needs.purpose} exists only for {' and '.join(needs.machines)}",
            hint="DOCKER_DEFAULT_PLATFORM=linux/amd64 uses x86_64, emulated and slow.",
        )
    if libc[0] != "glibc" or tuple(map(int, libc[1].split("."))) < _OLDEST_GLIBC:
        glibc = ".".join(map(str, _OLDEST_GLIBC))
        raise InputError(f"{base} has no glibc {glibc} or newer, which the {needs.purpose} needs")
    return PythonBase(base, python, machine)


def _require_image(docker: Docker, base: str, watch: Watch) -> None:
    if inspect_image(docker, base) is not None:
        return
    watch(f"pulling the image {base}")
    try:
        docker.watch(["docker", "pull", base], watch)
    except DockerError as exc:
        hint = "Give a local image with --base-image; docs/docker.md shows how to make one without a registry."
        raise ImagePullError(base, str(exc), hint=hint) from exc


def make_readable(folder: Path) -> None:
    """Make files readable for the image's user, who is not root, whatever the umask is."""
    for path in folder.rglob("*"):
        mode = path.stat().st_mode
        path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
