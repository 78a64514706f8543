"""The small CPU image: the real tritonserver of the nvidia-pytriton wheel on a slim Python.

The wheels have to fit the base's Python, which is read from the base first.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tritonops.compose.engine.docker import Docker, Watch
from tritonops.compose.engine.python_base import BaseRequirements, default_base, make_readable, read_base

# Docker asks no public registry for a name under localhost.
CPU_IMAGE = "localhost/triton-cpu"
SOURCE_LABEL = "tritonops.source"
_NEEDS = BaseRequirements("server", ("3.11", "3.12"), ("x86_64",))


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
        return default_base(self.dockerfile)

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
    base = read_base(docker, base_image or source.default_base(), _NEEDS, watch)
    with tempfile.TemporaryDirectory(prefix="triton-cpu-") as folder:
        context = Path(folder)
        watch(f"fetching {source.requirements.name} for Python {base.python}")
        base.fetch_packages(uv, source.requirements, context / "packages")
        _arrange_server(context / "packages", context / "tritonserver", base.python)
        shutil.copytree(source.backends, context / "tritonserver" / "backends", dirs_exist_ok=True, ignore=_NO_CACHES)
        shutil.copy2(source.dockerfile, context)
        make_readable(context)
        docker.watch(_build_command(context, tag=tag, base=base.image, digest=source.digest()), watch)


_NO_CACHES = shutil.ignore_patterns("__pycache__")


def _build_command(context: Path, *, tag: str, base: str, digest: str) -> list[str]:
    options = ["--build-arg", f"BASE_IMAGE={base}", "--label", f"{SOURCE_LABEL}={digest}", "--tag", tag]
    return ["docker", "build", *options, str(context)]


def _arrange_server(packages: Path, server: Path, python: str) -> None:
    """Move the server from the wheels into the layout of NVIDIA's image, with the stub for `python` only."""
    wheel = packages / "pytriton" / "tritonserver"
    shutil.copytree(wheel, server, ignore=shutil.ignore_patterns("python_backend_stubs"))
    shutil.copy2(wheel / "python_backend_stubs" / python / "triton_python_backend_stub", server / "backends" / "python")
    (packages / "nvidia_pytriton.libs").rename(server / "lib")
    for leftover in (packages / "pytriton", packages / "bin"):
        shutil.rmtree(leftover)
