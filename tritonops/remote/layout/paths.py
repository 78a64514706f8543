"""The paths on a host, below TRITON_REMOTE_DIR.

releases/r<number>-<commit>/  one deploy: project/ (the files git tracks), triton/ and triton-disabled/ (its models,
                              hard links), inv (runs its tasks with this host's settings), release.json,
                              outcome.json, manifest and bytecode (digests), runs/ (logs)
number                      the number of the newest release, assigned under the lock
current                     a link to the current release
shared/triton/              Triton's model repository; triton-disabled/, .store/ and .server/ are its siblings
shared/venvs/<digest>/      Python environments, one for each set of requirements
shared/switching.json       exists during a switch, and after one that was interrupted
env                         secrets and settings of this host, mode 600; the next release gets a copy
envs/<release>              the copy of a release, mode 600, without secrets; its .env is a link to it
lock, audit.log             the owner of the deploy lock, and what was done by whom
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from tritonops.documents import MAX_RECORD
from tritonops.errors import TritonOpsError, UnknownReleaseError, UnreadableFileError
from tritonops.files import read_text, write_json
from tritonops.remote.layout.records import ActivationRecord, ReleaseRecord


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
        """Its models, as hard links."""
        return self.path / "triton"

    @property
    def listed(self) -> Path:
        """The names of the models in its models.toml, one a line."""
        return self.path / "listed"

    @property
    def bytecode(self) -> Path:
        """The digests of the Python bytecode that its first activation left, for the release after it."""
        return self.path / "bytecode"

    @property
    def inv(self) -> Path:
        """The script that runs its tasks with the settings of this host."""
        return self.path / "inv"

    @property
    def record(self) -> ReleaseRecord:
        """Its release.json. Raises TritonOpsError where that cannot be read."""
        try:
            return ReleaseRecord.parse(read_text(self.path / "release.json", MAX_RECORD))
        except (UnreadableFileError, ValueError) as exc:
            raise TritonOpsError(f"{self.path / 'release.json'} cannot be read: {exc}") from exc

    @property
    def activation(self) -> ActivationRecord | None:
        """Its last activation; None where it was never activated, or is right now."""
        try:
            return ActivationRecord.parse(read_text(self.path / "outcome.json", MAX_RECORD))
        except (UnreadableFileError, ValueError):
            return None

    def save_activation(self, activation: ActivationRecord) -> None:
        """Write outcome.json."""
        write_json(self.path / "outcome.json", asdict(activation))


@dataclass(frozen=True)
class Layout:
    """The folder of TRITON_REMOTE_DIR on its host."""

    root: Path

    @property
    def shared(self) -> Path:
        """The folder that all releases share."""
        return self.root / "shared"

    @property
    def models_dir(self) -> Path:
        """Triton's model repository."""
        return self.shared / "triton"

    @property
    def store_dir(self) -> Path:
        """The verified files."""
        return self.shared / ".store"

    @property
    def incoming(self) -> Path:
        """Pushed files that are not verified yet, by their SHA-256."""
        return self.store_dir / "incoming"

    @property
    def switch_record(self) -> Path:
        """Exists from before `models_dir` is changed until the switch is complete."""
        return self.shared / "switching.json"

    @property
    def reserve(self) -> Path:
        """Space reserved for a rollback on a full disk."""
        return self.shared / "reserve"

    @property
    def runtime(self) -> Path:
        """How the running Triton was started."""
        return self.shared / "runtime"

    @property
    def lock(self) -> Path:
        """The deploy lock."""
        return self.root / "lock"

    @property
    def env(self) -> Path:
        """Secrets and settings of this host."""
        return self.root / "env"

    def env_of(self, release: Release) -> Path:
        """The copy of a release, without the secrets."""
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
        """The current release; None before the first."""
        try:
            return Release(self.root / "releases" / (self.root / "current").readlink().name)
        except FileNotFoundError:
            return None

    def point_current_to(self, release: Release) -> None:
        """Make `release` the current one, in one step."""
        link = self.root / "current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("releases", release.id))
        link.replace(self.root / "current")

    @property
    def audit_log(self) -> Path:
        """A line of JSON for each activation."""
        return self.root / "audit.log"
