"""Where the parts of the embedded Triton are: the nvidia-pytriton wheel, and this interpreter's libpython."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import EmbeddedUnavailableError

_OLDEST_GLIBC = (2, 35)
_USE_COMPOSE = "Serve the models with Docker instead: ./inv compose.up --cpu"


@dataclass(frozen=True)
class Installation:
    """The tritonserver of the nvidia-pytriton wheel, and what it needs to run Python-based backends."""

    executable: Path
    python_backend: Path
    """The folder of the Python backend, without a stub."""
    stub: Path
    """The process that runs a backend's model.py, built for this version of Python."""
    library_path: tuple[Path, ...]
    """Folders for LD_LIBRARY_PATH."""
    python_bin: Path
    """Must come first on the PATH: there the stub finds the interpreter whose packages it imports."""


def find_installation() -> Installation:
    """Find the embedded Triton; EmbeddedUnavailableError says what this machine lacks."""
    packages = _site_packages()
    triton = packages / "pytriton" / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Installation(
        executable=triton / "bin" / "tritonserver",
        python_backend=triton / "backends" / "python",
        stub=triton / "python_backend_stubs" / version / "triton_python_backend_stub",
        library_path=(packages / "nvidia_pytriton.libs", _find_libpython(_libpython_folders())),
        python_bin=Path(sys.executable).parent,
    )


def assemble_backends(folder: Path, installation: Installation) -> None:
    """Write a backend directory for Triton to `folder`, in place of what is there: `python` and ours.

    Copies, because Triton refuses a backend library that is a link out of its directory.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(installation.python_backend, folder / "python", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(installation.stub, folder / "python")
    ours = Path(__file__).with_name("backends")
    shutil.copytree(ours, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _site_packages() -> Path:
    """The folder that holds the wheel's packages; it is looked for, not imported."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise EmbeddedUnavailableError(_why_missing(), hint=_USE_COMPOSE)
    return Path(spec.origin).parent.parent


def _why_missing() -> str:
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        return f"there is no embedded Triton for {system} on {machine}, only for Linux on x86_64"
    if sys.version_info >= (3, 13):
        return f"there is no embedded Triton for Python {platform.python_version()}, only for 3.11 and 3.12"
    if _glibc() < _OLDEST_GLIBC:
        return "there is no embedded Triton for this system: its wheel wants glibc 2.35 or newer"
    return "the embedded Triton is not installed: the package nvidia-pytriton is missing"


def _glibc() -> tuple[int, ...]:
    library, version = platform.libc_ver()
    return tuple(int(part) for part in version.split(".")) if library == "glibc" else (0,)


def _libpython_folders() -> Iterable[Path]:
    """Where this interpreter, and then the system, keeps its shared library."""
    libdir = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    yield from (libdir, libdir / multiarch, Path(sys.base_prefix, "lib"))
    yield from (Path("/usr/lib", multiarch), Path("/usr/lib64"), Path("/usr/local/lib"))


def _find_libpython(folders: Iterable[Path]) -> Path:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"libpython{version}.so.1.0"
    for folder in folders:
        if (folder / name).exists():
            return folder
    raise EmbeddedUnavailableError(
        f"the embedded Triton needs {name}, which was not found beside {sys.base_prefix}",
        hint=f"Debian, Ubuntu: sudo apt install libpython{version}",
    )
