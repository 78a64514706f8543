"""Debian or Ubuntu packages without root: downloaded by apt-get, unpacked in the user's cache.

The system is not changed.
"""

from __future__ import annotations

import fcntl
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tritonops.errors import PackagesUnavailableError
from tritonops.process_environment import cache_dir, inherited

TIMEOUT = 180.0
"""Seconds for one apt-get command."""
_NETWORK = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=15", "-o", "Acquire::https::Timeout=15")


def can_fetch() -> bool:
    """Whether this system has apt-get and dpkg."""
    return all(shutil.which(tool) for tool in ("apt-get", "dpkg"))


def cached(packages: Sequence[str]) -> Path | None:
    """Find the folder of packages that were fetched earlier, with the layout of a root file system."""
    folder = _folder(packages)
    return folder if folder.is_dir() else None


def fetch(packages: Sequence[str], *, dependencies: bool = False) -> Path:
    """Fetch packages that are not cached, and return their folder.

    With `dependencies`, packages that they need and the system lacks are fetched too. Concurrent fetches download
    once. Raises PackagesUnavailableError, and leaves nothing behind then.
    """
    if not can_fetch():
        raise PackagesUnavailableError(packages, "this system has no apt-get")
    folder = _folder(packages)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                _fetch_to(folder, packages, dependencies=dependencies)
    except OSError as exc:
        raise PackagesUnavailableError(packages, f"cannot write to {folder.parent}: {exc.strerror}") from exc
    return folder


def library_folders(folder: Path) -> list[Path]:
    """List the folders of shared libraries in fetched packages."""
    return [*(folder / "usr" / "lib").glob("*-linux-*"), *(folder / "lib").glob("*-linux-*")]


def _folder(packages: Sequence[str]) -> Path:
    return cache_dir() / "packages" / _system() / "+".join(packages)


def _system() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    return f"{release.get('ID', 'linux')}-{release.get('VERSION_ID', 'unstable')}-{platform.machine()}"


def _fetch_to(folder: Path, packages: Sequence[str], *, dependencies: bool) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
        work_dir = Path(name)
        archives = _download(work_dir, packages, dependencies=dependencies)
        if not archives:
            raise PackagesUnavailableError(packages, "apt-get considers them installed")
        for archive in archives:
            _run(["dpkg", "-x", str(archive), str(work_dir / "root")], packages)
        (work_dir / "root").rename(folder)


def _download(work_dir: Path, packages: Sequence[str], *, dependencies: bool) -> list[Path]:
    """Download with the system's package lists, or else with new lists of our own."""
    for lists in (None, work_dir / "lists"):
        for part in ("lists/partial", "archives/partial", "state"):
            (work_dir / part).mkdir(parents=True, exist_ok=True)
        apt = _apt_get(work_dir, lists)
        if lists:
            with suppress(PackagesUnavailableError):  # one source of several may be down
                _run([*apt, "update"], packages)
        command = ["install", "--download-only", "--yes", "--no-install-recommends"] if dependencies else ["download"]
        try:
            _run([*apt, *command, *packages], packages, folder=work_dir / "archives")
        except PackagesUnavailableError:
            if lists:
                raise
        else:
            return sorted((work_dir / "archives").glob("*.deb"))
    raise AssertionError


def _apt_get(work_dir: Path, lists: Path | None) -> list[str]:
    options = {
        "Dir::Cache": work_dir,
        "Dir::Cache::archives": work_dir / "archives",
        "Dir::State": work_dir / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::State::lists": lists or "/var/lib/apt/lists",
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "root",  # the current user writes the files
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["apt-get", "-qq", *_NETWORK, *words]


def _run(command: list[str], packages: Sequence[str], *, folder: Path | None = None) -> None:
    environment = {**inherited(), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise PackagesUnavailableError(packages, f"{command[0]} took longer than {TIMEOUT:g} s") from exc
    if done.returncode:
        lines = [line.removeprefix("E: ") for line in done.stderr.splitlines() if line.startswith("E: ")]
        raise PackagesUnavailableError(packages, lines[0] if lines else f"{command[0]} exited with {done.returncode}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        with suppress(OSError):  # without locks, concurrent fetches download twice
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
