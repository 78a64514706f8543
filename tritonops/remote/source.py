"""What a deploy sends: the files that git tracks, as they are in this folder now."""

from __future__ import annotations

import getpass
import hashlib
import json
import socket
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tritonops.errors import InputError
from tritonops.remote.inventory import HostSettings
from tritonops.remote.layout import Facts


@dataclass(frozen=True)
class Source:
    """A clone of a project at a commit, with or without changes that are not committed."""

    project: Path
    commit: str
    subject: str
    changed: bool
    """Whether tracked files differ from the commit."""
    content: str
    """A digest of all tracked files."""

    @property
    def models_toml(self) -> Path:
        """The catalogue that hosts are given."""
        return self.project / "models.toml"

    @property
    def venv(self) -> str:
        """A digest of the runtime requirements: releases with the same ones share an environment."""
        return hashlib.sha256((self.project / "requirements" / "runtime.txt").read_bytes()).hexdigest()[:12]

    def files(self) -> list[str]:
        """List the tracked files that are there, relative to the project."""
        listed = _git(self.project, "ls-files", "-z").split("\0")
        return [name for name in listed if name and (self.project / name).exists()]

    def fingerprint(self, host: HostSettings) -> str:
        """Digest what a release for this host is made of."""
        return _digest(self.content, json.dumps(asdict(host)))

    def facts(self, host: HostSettings) -> Facts:
        """Describe a new release for this host, made now."""
        return Facts(
            id=f"{now_for_names()}-{self.commit}{'-changed' if self.changed else ''}",
            commit=self.commit,
            subject=self.subject + (" (with changes that are not committed)" if self.changed else ""),
            fingerprint=self.fingerprint(host),
            by=who(),
            at=now_for_people(),
            config=host.config,
            runtime=host.runtime,
            venv=self.venv,
        )


def read_source(project: Path) -> Source:
    """Look at the clone. Raises InputError where git cannot tell what belongs to it."""
    tree, commit, subject = _git(project, "log", "-1", "--format=%T%x00%h%x00%s").rstrip("\n").split("\0")
    changes = _git(project, "diff", "--binary", "HEAD")
    return Source(project, commit, subject, bool(changes), _digest(tree, changes))


def who() -> str:
    """Name the person and the machine, for the lock and the records."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def now_for_names() -> str:
    """Write the time so that names sort by it, to the microsecond: two deploys of one second are two releases."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"


def now_for_people() -> str:
    """Write the time as ISO 8601 in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode(errors="surrogateescape")).hexdigest()[:16]


def _git(project: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(project), *arguments], capture_output=True, check=False)
    except FileNotFoundError as exc:
        raise InputError("git is not installed here", hint="A deploy sends the files that git tracks.") from exc
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise InputError(f"{project}: {said}", hint="A deploy sends the files that git tracks, at a commit.")
    return done.stdout.decode(errors="surrogateescape")
