"""The image of the init container: the wheel of this project and its locked requirements on a slim Python."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tritonops.compose.engine.docker import Docker, Watch, last_lines
from tritonops.compose.engine.python_base import BaseRequirements, default_base, make_readable, read_base
from tritonops.errors import TritonOpsError

INIT_IMAGE = "localhost/tritonops"
_NEEDS = BaseRequirements("init container", ("3.11", "3.12", "3.13"), ("x86_64", "aarch64"))


@dataclass(frozen=True)
class InitImageSource:
    """The files that the image is built from."""

    project: Path

    @property
    def dockerfile(self) -> Path:
        """What is done with the packages."""
        return self.project / "docker" / "tritonops" / "Dockerfile"

    @property
    def requirements(self) -> Path:
        """What the wheel requires, locked."""
        return self.project / "requirements" / "kubernetes.txt"


def build(
    docker: Docker,
    source: InitImageSource,
    *,
    uv: str,
    watch: Watch,
    tag: str = INIT_IMAGE,
    base_image: str | None = None,
) -> None:
    """Build the image and name it `tag`.

    Raises ImagePullError for a base that cannot be pulled, InputError for one with another Python, and TritonOpsError
    where the wheel or a package cannot be had.
    """
    base = read_base(docker, base_image or default_base(source.dockerfile), _NEEDS, watch)
    with tempfile.TemporaryDirectory(prefix="tritonops-") as folder:
        context = Path(folder)
        watch("building the wheel")
        wheel = _build_wheel(uv, source.project, context / "wheel")
        watch(f"fetching {source.requirements.name} for Python {base.python}")
        base.fetch_packages(uv, source.requirements, context / "packages")
        base.install_wheel(uv, wheel, context / "packages")
        shutil.rmtree(wheel.parent)
        shutil.copy2(source.dockerfile, context)
        make_readable(context)
        docker.watch(["docker", "build", "--build-arg", f"BASE_IMAGE={base.image}", "--tag", tag, str(context)], watch)


def _build_wheel(uv: str, project: Path, folder: Path) -> Path:
    command = [uv, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(project)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise TritonOpsError(f"the wheel of {project} could not be built: {last_lines(done.stderr, 10)}")
    (wheel,) = folder.glob("*.whl")
    return wheel
