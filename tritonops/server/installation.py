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
_TOO_NEW_PYTHON = (3, 13)
_USE_COMPOSE = "Serve the models with Docker instead: `inv compose.up --cpu`"


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
        library_path=(packages / "nvidia_pytriton.libs", find_libpython(_libpython_folders())),
        python_bin=Path(sys.executable).parent,
    )


def assemble_backends(folder: Path, installation: Installation) -> None:
    """Write a backend directory for Triton to `folder`, in place of what is there: `python` and ours.

    Copies, because Triton refuses a backend library that is a link out of its directory.
    """
    shutil.rmtree(folder, ignore_errors=True)
    _copy_files([*installation.python_backend.iterdir(), installation.stub], folder / "python")
    _copy_files(Path(__file__).with_name("backends").joinpath("onnxruntime").iterdir(), folder / "onnxruntime")


def _copy_files(files: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in files:
        if file.is_file():
            shutil.copy2(file, folder)


@dataclass(frozen=True)
class Machine:
    """What decides whether the wheel can be installed here."""

    system: str
    architecture: str
    python: tuple[int, ...]
    glibc: tuple[int, ...]
    """Empty where the C library is another one."""


def this_machine() -> Machine:
    """Describe the machine, and the Python, that we run on."""
    library, version = platform.libc_ver()
    glibc = tuple(int(part) for part in version.split(".")) if library == "glibc" else ()
    return Machine(platform.system(), platform.machine(), sys.version_info[:2], glibc)


def why_missing(machine: Machine) -> str:
    """Say why the wheel is not installed on this machine."""
    if (machine.system, machine.architecture) != ("Linux", "x86_64"):
        return f"there is no embedded Triton for {machine.system} on {machine.architecture}, only for Linux on x86_64"
    if machine.python >= _TOO_NEW_PYTHON:
        return f"there is no embedded Triton for Python {_dotted(machine.python)}, only for 3.11 and 3.12"
    if machine.glibc < _OLDEST_GLIBC:
        here = f"glibc {_dotted(machine.glibc)}" if machine.glibc else "another C library"
        return f"the embedded Triton wants glibc {_dotted(_OLDEST_GLIBC)} or newer, and this system has {here}"
    return "the embedded Triton is not installed: the package nvidia-pytriton is missing"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _site_packages() -> Path:
    """The folder that holds the wheel's packages; it is looked for, not imported."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise EmbeddedUnavailableError(why_missing(this_machine()), hint=_USE_COMPOSE)
    return Path(spec.origin).parent.parent


def _libpython_folders() -> Iterable[Path]:
    """Where this interpreter, and then the system, keeps its shared library."""
    libdir = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    yield from (libdir, libdir / multiarch, Path(sys.base_prefix, "lib"))
    yield from (Path("/usr/lib", multiarch), Path("/usr/lib64"), Path("/usr/local/lib"))


def find_libpython(folders: Iterable[Path]) -> Path:
    """Find the first folder that has the shared library of this Python; EmbeddedUnavailableError where none has."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"libpython{version}.so.1.0"
    for folder in folders:
        if (folder / name).exists():
            return folder
    raise EmbeddedUnavailableError(
        f"the embedded Triton needs {name}, which was not found beside {sys.base_prefix}",
        hint=f"Debian, Ubuntu: sudo apt install libpython{version}",
    )
