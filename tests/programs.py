"""Programs that tests need: from the PATH, else from the packages of the distribution, fetched without root."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tritonops.errors import PackagesUnavailableError
from tritonops.server import debian_packages

PACKAGES = {"ssh": "openssh-client", "sshd": "openssh-server", "rsync": "rsync", "aria2c": "aria2"}
_SYSTEM = ":/usr/sbin:/sbin"
_WRAPPERS = "tritonops-programs"


def find(program: str) -> str | None:
    """Find a program where a login shell of root would."""
    return shutil.which(program, path=os.environ.get("PATH", "") + _SYSTEM)


def require(*programs: str) -> None:
    """Skip the test that runs without these programs; in CI that is a failure."""
    for program in programs:
        if not find(program):
            unavailable(f"no {program}, install {PACKAGES.get(program, program)}")


def unavailable(reason: str) -> None:
    """Skip the test for something that this machine lacks; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def fetch_missing(log: Callable[[str], None]) -> None:
    """Fetch the programs that are missing, and put them on the PATH of this process and its children."""
    missing = {program: package for program, package in PACKAGES.items() if not find(program)}
    if os.getuid() == 0 and not _has_user("sshd"):
        missing.pop("sshd", None)  # root's sshd needs the user that its package makes
    if not missing:
        return
    packages = sorted(missing.values())
    try:
        was_cached = debian_packages.cached(packages)
        folder = debian_packages.fetch(packages, dependencies=True)
        if not was_cached:
            log(f"fetched {', '.join(packages)} into {folder}")
    except PackagesUnavailableError as exc:
        log(str(exc))
    else:
        os.environ["PATH"] = f"{_wrap(folder, missing)}:{os.environ.get('PATH', os.defpath)}"


def _wrap(folder: Path, programs: dict[str, str]) -> Path:
    """Write a script for each program, which starts it with the libraries that were fetched beside it."""
    wrappers = folder / _WRAPPERS
    wrappers.mkdir(exist_ok=True)
    libraries = ":".join(map(str, debian_packages.library_folders(folder)))
    for program in (path for name in ("bin", "sbin") for path in (folder / "usr" / name).glob("*")):
        if program.name in {*programs, "ssh-keygen", "ssh-agent", "ssh-add"} and not (wrappers / program.name).exists():
            script = wrappers / f".{program.name}.{os.getpid()}"
            start = f"exec env {shlex.quote(f'LD_LIBRARY_PATH={libraries}')} {shlex.quote(str(program))}"
            script.write_text(f'#!/bin/sh\n{start} "$@"\n')
            script.chmod(0o755)
            script.rename(wrappers / program.name)
    return wrappers


def fetched_root(program: str) -> Path | None:
    """The folder of packages that a program was fetched with."""
    path = Path(find(program) or "/")
    return path.parent.parent if path.parent.name == _WRAPPERS else None


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
