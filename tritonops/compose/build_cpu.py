"""The small CPU image: the real tritonserver of the nvidia-pytriton wheel on a slim Python.

The wheels are fetched by hash on this machine and copied into the build, which needs no network and no pip, and leaves
no wheel in a layer. They have to fit the base's Python, which is read from the base first.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tritonops.compose.engine.docker import Docker, Watch, last_lines
from tritonops.compose.engine.image import inspect_image
from tritonops.errors import DockerError, ImagePullError, InputError, TritonOpsError
from tritonops.files import read_text

# Docker asks no public registry for a name under localhost.
CPU_IMAGE = "localhost/triton-cpu"
SOURCE_LABEL = "tritonops.source"
_PYTHONS = ("3.11", "3.12")
_OLDEST_GLIBC = (2, 35)
_PROBE = (
    "import json, platform; print(json.dumps([platform.python_version(), platform.machine(), platform.libc_ver()]))"
)


@dataclass(frozen=True)
class ImageSource:
    """The files of this project that the image is built from."""

    dockerfile: Path
    requirements: Path
    backends: Path

    @classmethod
    def of(cls, project: Path) -> ImageSource:
        """Find them in a checkout."""
        return cls(
            project / "docker" / "triton-cpu" / "Dockerfile",
            project / "requirements" / "triton-cpu.txt",
            project / "tritonops" / "server" / "backends",
        )

    def default_base(self) -> str:
        """Read the base image that the Dockerfile names."""
        found = re.search(r"^ARG BASE_IMAGE=(\S+)", read_text(self.dockerfile, 1 << 20), re.MULTILINE)
        if found is None:
            raise InputError(f"{self.dockerfile} names no BASE_IMAGE")
        return found[1]

    def digest(self) -> str:
        """Hash the files; the image has the hash as a label."""
        files = [self.dockerfile, self.requirements, *sorted(self.backends.rglob("*.py"))]
        return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def build(
    docker: Docker, source: ImageSource, *, uv: str, watch: Watch, tag: str = CPU_IMAGE, base_image: str | None = None
) -> None:
    """Build the image and name it `tag`.

    Raises ImagePullError for a base that cannot be pulled, InputError for one that cannot run the server.
    """
    base = base_image or source.default_base()
    watch(f"reading the Python version of {base}")
    python = _python_of(docker, base, watch)
    with tempfile.TemporaryDirectory(prefix="triton-cpu-") as folder:
        context = Path(folder)
        watch(f"fetching {source.requirements.name} for Python {python}")
        _fetch_packages(uv, source.requirements, python, context / "packages")
        _arrange_server(context / "packages", context / "tritonserver", python)
        shutil.copytree(source.backends, context / "tritonserver" / "backends", dirs_exist_ok=True, ignore=_NO_CACHES)
        shutil.copy2(source.dockerfile, context)
        _make_readable(context)
        docker.watch(_build_command(context, tag=tag, base=base, digest=source.digest()), watch)


_NO_CACHES = shutil.ignore_patterns("__pycache__")


def _build_command(context: Path, *, tag: str, base: str, digest: str) -> list[str]:
    options = ["--build-arg", f"BASE_IMAGE={base}", "--label", f"{SOURCE_LABEL}={digest}", "--tag", tag]
    return ["docker", "build", *options, str(context)]


def _python_of(docker: Docker, base: str, watch: Watch) -> str:
    """Read the base's Python version, such as "3.12". Raises InputError if the server cannot run on it."""
    _require_image(docker, base, watch)
    try:
        answer = docker.output(["docker", "run", "--rm", "--entrypoint", "python3", base, "-c", _PROBE])
    except DockerError as exc:
        raise InputError(f"the base image {base} has no working python3") from exc
    version, machine, libc = json.loads(answer)
    python = ".".join(version.split(".")[:2])
    if python not in _PYTHONS:
        raise InputError(f"{base} has Python {version}, but the server needs {' or '.join(_PYTHONS)}")
    if machine != "x86_64":
        raise InputError(
            f"{base} is for {machine}, but the server exists only for x86_64",
            hint="DOCKER_DEFAULT_PLATFORM=linux/amd64 uses x86_64, emulated and slow.",
        )
    if libc[0] != "glibc" or tuple(map(int, libc[1].split("."))) < _OLDEST_GLIBC:
        raise InputError(f"{base} has no glibc {'.'.join(map(str, _OLDEST_GLIBC))} or newer, which the server needs")
    return python


def _require_image(docker: Docker, base: str, watch: Watch) -> None:
    if inspect_image(docker, base) is not None:
        return
    watch(f"pulling the image {base}")
    try:
        docker.watch(["docker", "pull", base], watch)
    except DockerError as exc:
        hint = "Give a local image with --base-image; docs/docker.md shows how to make one without a registry."
        raise ImagePullError(base, str(exc), hint=hint) from exc


def _fetch_packages(uv: str, requirements: Path, python: str, target: Path) -> None:
    command = [uv, "pip", "install", "--quiet", "--target", str(target), "--no-deps", "--require-hashes", "--no-build"]
    command += ["--link-mode", "copy"]
    command += ["--python-version", python, "--python-platform", "x86_64-manylinux_2_35", "-r", str(requirements)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise TritonOpsError(f"{requirements} could not be fetched: {last_lines(done.stderr, 10)}")


def _arrange_server(packages: Path, server: Path, python: str) -> None:
    """Move the server from the wheels into the layout of NVIDIA's image, with the stub for `python` only."""
    wheel = packages / "pytriton" / "tritonserver"
    shutil.copytree(wheel, server, ignore=shutil.ignore_patterns("python_backend_stubs"))
    shutil.copy2(wheel / "python_backend_stubs" / python / "triton_python_backend_stub", server / "backends" / "python")
    (packages / "nvidia_pytriton.libs").rename(server / "lib")
    for leftover in (packages / "pytriton", packages / "bin"):
        shutil.rmtree(leftover)


def _make_readable(folder: Path) -> None:
    """Make files readable for the image's user, who is not root, whatever the umask is."""
    for path in folder.rglob("*"):
        mode = path.stat().st_mode
        path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
