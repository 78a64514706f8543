"""What is recorded on a host: a release, its activation, a switch under way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from tritonops.documents import parse_record

# Records of earlier versions stay as they were written.
_EARLIER_WORDS = {"put back": "rolled back"}


def result_word(word: str) -> str:
    """Give today's word for a recorded result."""
    return _EARLIER_WORDS.get(word, word)


@dataclass(frozen=True)
class ReleaseRecord:
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
    def parse(cls, text: str) -> ReleaseRecord:
        """Read release.json; ValueError where it is not one."""
        return parse_record(cls, text)


@dataclass(frozen=True)
class ActivationRecord:
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
    """For each model that serves the fields of its RecordedLoad."""
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
    def parse(cls, text: str) -> ActivationRecord:
        """Read outcome.json; ValueError where it is not one."""
        activation = parse_record(cls, text)
        return replace(activation, result=result_word(activation.result))


@dataclass(frozen=True)
class SwitchRecord:
    """A change of what is served that is under way, or was interrupted."""

    to: str
    """The release that is to serve."""
    changed: tuple[str, ...]
    """The models that it changes."""

    @classmethod
    def parse(cls, text: str) -> SwitchRecord:
        """Read switching.json; ValueError where it is not one."""
        return parse_record(cls, text)


LOGS = {"embedded": ("server.logs", "--lines"), "compose": ("compose.logs", "--tail")}
RESTART = {"embedded": "server.restart", "compose": "compose.restart"}


@dataclass(frozen=True)
class RecordedLoad:
    """How one model came to be served."""

    files: str
    """The digest of its files: names and SHA-256."""
    seal: str
    """Which files those were, to the kernel: equal means that nobody changed one since."""
    config: str
    """The digest of the config that Triton served then."""
    loaded: str
    """When Triton acknowledged the load, by the host's clock."""
    server: str
    """The process that did it; empty where it cannot be known."""


def recorded_loads(activation: ActivationRecord | None) -> dict[str, RecordedLoad]:
    """Read what was recorded; nothing from records of earlier versions, or of later ones that say something else."""
    try:
        return {name: RecordedLoad(**fields) for name, fields in activation.loads.items()} if activation else {}
    except TypeError:
        return {}
