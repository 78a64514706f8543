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
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tritonops.documents import MAX_RECORD, parse_record
from tritonops.errors import TritonOpsError, UnknownReleaseError, UnreadableFileError
from tritonops.files import read_text, write_json

Report = Callable[[str], None]
"""Given a line for each step."""

# For awk: `left` is below 0 where the release has no such list.
_READ_LISTED = 'BEGIN { while ((left = (getline name <"current/listed")) > 0) listed[name] }'
# Three lines: a digest of the files of the models that the release lists, one of the env file, and the seal of those
# files. Nobody can change a file, or put another in its place, so that the seal stays: the kernel sets a ctime itself.
# The first line is what earlier versions recorded: a dash where there is a seal. Not the times of directories: a load
# by hand touches them. Nor .exclude, which a start or a load changes.
DIGESTS = rf"""
files() {{
    find shared/triton shared/triton-disabled -type f ! -name .exclude "$@" 2>/dev/null |
        LC_ALL=C awk -F / '{_READ_LISTED} left < 0 || $1 in listed' | LC_ALL=C sort | sha256sum | cut -c1-16
}}
case $(cat current/outcome.json 2>/dev/null) in
    *'"seal": "'[0-9a-f]*) echo - ;;
    *) files -printf '%P %i %s %T@\n' ;;
esac
{{ cat env 2>/dev/null || true; }} | sha256sum | cut -c1-16
files ! -path '*/__pycache__/*' -printf '%P %i %s %T@ %C@\n'
"""
# A line for each model that Triton is shown and the release does not list.
BY_HAND = rf"""find -L shared/triton -mindepth 1 -maxdepth 1 -type d -printf '%f\n' 2>/dev/null |
    LC_ALL=C awk '{_READ_LISTED} left == 0 && !($0 in listed) {{ print "by_hand\t" $0 }}'"""

# The process that serves: `server RUNTIME GRPC_PORT`, in the folder of TRITON_REMOTE_DIR; nothing where it is unknown.
SERVER = r"""
server() {
    if [ "$1" = embedded ]; then
        pid=$(sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p' shared/.server/triton.pid 2>/dev/null | head -n 1)
        [ -n "$pid" ] && line=$(cat "/proc/$pid/stat" 2>/dev/null) || return 0
        set -- ${line##*) }
        echo "pid $pid, started ${20}"
    else
        container=$(docker ps --no-trunc --quiet --filter "publish=$2" 2>/dev/null | head -n 1)
        [ -z "$container" ] ||
            docker inspect --format 'pid {{.State.Pid}}, started {{.State.StartedAt}}' "$container" 2>/dev/null
    fi
}
"""

# Records of earlier versions stay as they were written.
_EARLIER_WORDS = {"put back": "rolled back"}


def result_word(word: str) -> str:
    """Give today's word for a recorded result."""
    return _EARLIER_WORDS.get(word, word)


@dataclass(frozen=True)
class Facts:
    """What a release is: who made it when, from what, and how this host serves it."""

    id: str
    commit: str
    subject: str
    fingerprint: str
    """Of the uploaded files and of this host's settings: equal means that there is nothing to upload."""
    by: str
    at: str
    config: str = "gpu"
    runtime: str = "compose"
    venv: str = ""
    """The digest of its requirements."""
    digest: str = ""
    """The SHA-256 of its manifest; empty for releases of earlier versions, which had none."""

    @property
    def files(self) -> list[str]:
        """What a compose task needs to find the files of this host."""
        return ["--cpu"] if (self.runtime, self.config) == ("compose", "cpu") else []

    @classmethod
    def parse(cls, text: str) -> Facts:
        """Read release.json; ValueError where it is not one."""
        return parse_record(cls, text)


@dataclass(frozen=True)
class Outcome:
    """What became of a release when it was last activated."""

    result: str
    """"done", "locked" (somebody else was at work), "failed" (nothing that serves changed), "rolled back" (the release
    before serves again), or "not rolled back" (it does not, or not all of it)."""
    at: str
    seconds: float = 0.0
    message: str = ""
    served: tuple[tuple[str, int], ...] = ()
    disk: str = ""
    """A digest of the files that Triton is shown."""
    env: str = ""
    """A digest of the host's env file."""
    changed: tuple[str, ...] = field(default=())
    """The models that were loaded, loaded again or unloaded."""
    by_hand: tuple[str, ...] = ()
    """The models in service that models.toml does not have."""
    pruned: tuple[str, ...] = ()
    """Those that were taken out of service."""
    seal: str = ""
    """A digest of the files that Triton is shown that no later change of them leaves; empty in older records."""
    loads: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For each model that serves the fields of its Load."""
    before: str | None = None
    """The release that served when this one was deployed; empty for the first one, None in older records."""
    restarted: tuple[str, ...] = field(default=())
    """Why Triton was restarted; nothing where it was not."""
    gap: float | None = None
    """Seconds for which a model that was served before was not ready during that restart."""

    def as_json(self) -> str:
        """Write it as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Outcome:
        """Read outcome.json; ValueError where it is not one."""
        outcome = parse_record(cls, text)
        return replace(outcome, result=result_word(outcome.result))


@dataclass(frozen=True)
class Switch:
    """A change of what is served that is under way, or was interrupted."""

    to: str
    """The release that is to serve."""
    changed: tuple[str, ...]
    """The models that it changes."""

    @classmethod
    def parse(cls, text: str) -> Switch:
        """Read switching.json; ValueError where it is not one."""
        return parse_record(cls, text)


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
    def facts(self) -> Facts:
        """What it is. Raises TritonOpsError where release.json cannot be read."""
        try:
            return Facts.parse(read_text(self.path / "release.json", MAX_RECORD))
        except (UnreadableFileError, ValueError) as exc:
            raise TritonOpsError(f"{self.path / 'release.json'} cannot be read: {exc}") from exc

    @property
    def outcome(self) -> Outcome | None:
        """What became of it; None where it was never activated, or is right now."""
        try:
            return Outcome.parse(read_text(self.path / "outcome.json", MAX_RECORD))
        except (UnreadableFileError, ValueError):
            return None

    def save_outcome(self, outcome: Outcome) -> None:
        """Write outcome.json."""
        write_json(self.path / "outcome.json", asdict(outcome))


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
    def journal(self) -> Path:
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

    def audit(self, **facts: Any) -> None:
        """Append a line to audit.log: who did what, when, and what came of it."""
        with (self.root / "audit.log").open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")
