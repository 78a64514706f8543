"""Find the parts of the embedded Triton: the nvidia-pytriton wheel, and this interpreter's libpython."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import EmbeddedUnavailableError, PackagesUnavailableError
from tritonops.server import debian_packages

_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_LIBPYTHON_PACKAGES = (f"libpython{_VERSION}", f"libpython{_VERSION}t64")
"""Ubuntu 24.04 names it as the second."""
_OLDEST_GLIBC = (2, 35)
_TOO_NEW_PYTHON = (3, 14)
_USE_COMPOSE = "To serve the models with Docker instead: inv compose.up --cpu"


@dataclass(frozen=True)
class Installation:
    """The tritonserver of the nvidia-pytriton wheel, and the parts that its Python-based backends need."""

    executable: Path
    python_backend: Path
    """The folder of the Python backend, without a stub."""
    stub: Path
    """The process that runs a backend's model.py, built for this version of Python."""
    libraries: Path
    """The folder of the wheel's shared libraries."""
    libpython: Path
    """The shared library of this Python."""
    libpython_name: str
    """The name that the stub is linked to."""
    python_bin: Path
    """The first folder of the PATH, where the stub finds the interpreter whose packages it imports."""


def find_installation() -> Installation:
    """Find the embedded Triton. Raises EmbeddedUnavailableError with what is missing."""
    packages = _site_packages()
    triton = packages / "pytriton" / "tritonserver"
    libraries = packages / "nvidia_pytriton.libs"
    libpython = find_libpython()
    return Installation(
        executable=triton / "bin" / "tritonserver",
        python_backend=triton / "backends" / "python",
        stub=triton / "python_backend_stubs" / _VERSION / "triton_python_backend_stub",
        libraries=libraries,
        libpython=libpython,
        libpython_name=_stub_libpython(libraries) or libpython.name,
        python_bin=Path(sys.executable).parent,
    )


def assemble_backends(folder: Path, installation: Installation) -> None:
    """Write Triton's backend directory to `folder`, replacing it: `python` and ours.

    Files are copied, because Triton refuses a backend library that is a link out of its directory.
    """
    shutil.rmtree(folder, ignore_errors=True)
    ours = Path(__file__).with_name("backends")
    python = [*installation.python_backend.iterdir(), installation.stub, *(ours / "python").iterdir()]
    _copy_files(python, folder / "python")
    _copy_files((ours / "onnxruntime").iterdir(), folder / "onnxruntime")
    with (folder / "python" / "triton_python_backend_utils.py").open("a", encoding="utf-8") as utils:
        utils.write("\nimport numpy_2\n")
    _python_library(folder).mkdir()
    (_python_library(folder) / installation.libpython_name).symlink_to(installation.libpython)


def library_path(folder: Path, installation: Installation) -> list[Path]:
    """List the folders for LD_LIBRARY_PATH; `folder` is that of assemble_backends()."""
    return [_python_library(folder), installation.libraries, installation.libpython.parent]


def _python_library(folder: Path) -> Path:
    """Give the folder with one link to this Python's shared library, by the name that the stub is linked to."""
    return folder / "libpython"


def _stub_libpython(libraries: Path) -> str | None:
    """Find the libpython that the stub of Python 3.13 is linked to; it lacks modules that Debian builds in."""
    return next((path.name for path in libraries.glob(f"libpython3-*.{sys.version_info.minor}.so.1.0")), None)


def _copy_files(files: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in files:
        if file.is_file():
            shutil.copy2(file, folder)


@dataclass(frozen=True)
class Machine:
    """The properties that decide whether the wheel can be installed."""

    system: str
    architecture: str
    python: tuple[int, ...]
    glibc: tuple[int, ...]
    """Empty for another C library."""


def this_machine() -> Machine:
    """Describe this machine and this Python."""
    library, version = platform.libc_ver()
    glibc = tuple(int(part) for part in version.split(".")) if library == "glibc" else ()
    return Machine(platform.system(), platform.machine(), sys.version_info[:2], glibc)


def why_missing(machine: Machine) -> str:
    """Say why the wheel is not installed on this machine."""
    if (machine.system, machine.architecture) != ("Linux", "x86_64"):
        return f"there is no embedded Triton for {machine.system} on {machine.architecture}, only for Linux on x86_64"
    if machine.python >= _TOO_NEW_PYTHON:
        return f"there is no embedded Triton for Python {_dotted(machine.python)}, only for 3.11 to 3.13"
    if machine.glibc < _OLDEST_GLIBC:
        found = f"glibc {_dotted(machine.glibc)}" if machine.glibc else "another C library"
        return f"the embedded Triton needs glibc {_dotted(_OLDEST_GLIBC)} or newer, and this system has {found}"
    return "the embedded Triton is not installed: the package nvidia-pytriton is missing"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _site_packages() -> Path:
    """Find the folder of the wheel's packages, without an import."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise EmbeddedUnavailableError(why_missing(this_machine()), hint=_USE_COMPOSE)
    return Path(spec.origin).parent.parent


def find_libpython() -> Path:
    """Find the shared library of this Python. `./inv` calls this in a Python without packages."""
    name = f"libpython{_VERSION}.so.1.0"
    for folder in (*_system_folders(), *_fetched_folders()):
        if (folder / name).exists():
            return folder / name
    reason = f"the embedded Triton needs {name}, which was not found for {sys.base_prefix}"
    hint = "`inv server.up` fetches it, without root." if debian_packages.can_fetch() else _USE_COMPOSE
    raise EmbeddedUnavailableError(reason, hint=hint)


def fetch_libpython(log: Callable[[str], None]) -> None:
    """Fetch a missing shared library of this Python from the distribution, without root.

    Calls `log` with one line if it did. Raises EmbeddedUnavailableError if the distribution has none.
    """
    try:
        find_libpython()
    except EmbeddedUnavailableError as exc:
        if debian_packages.can_fetch():
            log(f"fetched {_fetch_any(_LIBPYTHON_PACKAGES, str(exc))}")


def _fetch_any(packages: Sequence[str], reason: str) -> Path:
    """Fetch the first of these packages that the distribution has."""
    failures = []
    for package in packages:
        try:
            return debian_packages.fetch([package])
        except PackagesUnavailableError as exc:
            failures.append(str(exc))
    raise EmbeddedUnavailableError(f"{reason}; {failures[0]}", hint=f"sudo apt install {packages[0]}")


def _system_folders() -> Iterable[Path]:
    """List the library folders of this interpreter, and then of the system."""
    libdir = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    yield from (libdir, libdir / multiarch, Path(sys.base_prefix, "lib"))
    yield from (Path("/usr/lib", multiarch), Path("/usr/lib64"), Path("/usr/local/lib"))


def _fetched_folders() -> Iterable[Path]:
    for package in _LIBPYTHON_PACKAGES:
        if folder := debian_packages.cached([package]):
            yield from debian_packages.library_folders(folder)
