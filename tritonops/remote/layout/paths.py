"""Where everything lies on a host, below TRITON_REMOTE_DIR.

releases/r<number>-<commit>/  one deploy: project/ (the files git tracks), triton/ and triton-disabled/ (what it
serves, hard links), inv (runs its tasks with this host's settings), release.json,
outcome.json, log
number                      the number of the newest release; given under the lock
current                     a link to the release that serves
shared/triton/              what Triton is shown, with triton-disabled/, .store/ and .server/ beside it
shared/venvs/<digest>/      Python environments, one for each set of requirements
shared/switching.json       there while shared/triton is being changed, and after that was interrupted
env                         what is secret or differs by host, mode 600: what the next release is made with
envs/<release>              what a release was made with, mode 600, without secrets; its .env is a link to it
lock, audit.log             who is at work, and who did what
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tritonops.documents import MAX_RECORD
from tritonops.errors import TritonOpsError, UnknownReleaseError, UnreadableFileError
from tritonops.files import read_text, write_json
from tritonops.remote.layout.records import ActivationRecord, ReleaseRecord

OnStep = Callable[[str], None]
"""Given a line for each step."""


@dataclass(frozen=True)
class Release:
    """The folder of one release."""

    path: Path

    @property
    def id(self) -> str:
        """Its name: r<number>-<commit>; <time>-<commit> for those of earlier versions, which sort before."""
        return self.path.name

    @property
    def project(self) -> Path:
        """The files git tracks."""
        return self.path / "project"

    @property
    def models_dir(self) -> Path:
        """What it serves, as hard links."""
        return self.path / "triton"

    @property
    def listed(self) -> Path:
        """The names of the models that its models.toml has, one a line."""
        return self.path / "listed"

    @property
    def inv(self) -> Path:
        """Runs a task of this release with the settings of this host."""
        return self.path / "inv"

    @property
    def record(self) -> ReleaseRecord:
        """What it is. Raises TritonOpsError where release.json cannot be read."""
        try:
            return ReleaseRecord.parse(read_text(self.path / "release.json", MAX_RECORD))
        except (UnreadableFileError, ValueError) as exc:
            raise TritonOpsError(f"{self.path / 'release.json'} cannot be read: {exc}") from exc

    @property
    def activation(self) -> ActivationRecord | None:
        """What became of it; None where it was never activated, or is right now."""
        try:
            return ActivationRecord.parse(read_text(self.path / "outcome.json", MAX_RECORD))
        except (UnreadableFileError, ValueError):
            return None

    def save_activation(self, activation: ActivationRecord) -> None:
        """Write outcome.json."""
        write_json(self.path / "outcome.json", asdict(activation))


@dataclass(frozen=True)
class Layout:
    """The folder on the host that everything lies in."""

    root: Path

    @property
    def shared(self) -> Path:
        """What the releases share."""
        return self.root / "shared"

    @property
    def models_dir(self) -> Path:
        """What Triton is shown."""
        return self.shared / "triton"

    @property
    def store_dir(self) -> Path:
        """The verified files."""
        return self.shared / ".store"

    @property
    def incoming(self) -> Path:
        """Files that were pushed and are not verified yet, by their SHA-256."""
        return self.store_dir / "incoming"

    @property
    def switch_record(self) -> Path:
        """Written before `models_dir` is changed, removed once all that belongs to the change is done."""
        return self.shared / "switching.json"

    @property
    def reserve(self) -> Path:
        """Space set aside for a rollback on a full disk."""
        return self.shared / "reserve"

    @property
    def runtime(self) -> Path:
        """What the running Triton was started with."""
        return self.shared / "runtime"

    @property
    def lock(self) -> Path:
        """Held by whoever changes this host."""
        return self.root / "lock"

    @property
    def env(self) -> Path:
        """What is secret or differs by host."""
        return self.root / "env"

    def env_of(self, release: Release) -> Path:
        """What a release was made with, without the secrets."""
        return self.root / "envs" / release.id

    def release(self, name: str) -> Release:
        """Find a release. Raises UnknownReleaseError."""
        if name not in self.names():
            raise UnknownReleaseError(name, self.names())
        return Release(self.root / "releases" / name)

    def names(self) -> list[str]:
        """List the releases, oldest first."""
        folder = self.root / "releases"
        return sorted(path.name for path in folder.glob("*/") if path.suffix != ".partial") if folder.is_dir() else []

    @property
    def current(self) -> Release | None:
        """The release that serves; None before the first."""
        try:
            return Release(self.root / "releases" / (self.root / "current").readlink().name)
        except FileNotFoundError:
            return None

    def point_current_to(self, release: Release) -> None:
        """Make `release` the one that serves, in one step."""
        link = self.root / "current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("releases", release.id))
        link.replace(self.root / "current")

    def audit(self, **entry: Any) -> None:
        """Append a line to audit.log: who did what, when, and what came of it."""
        with (self.root / "audit.log").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
