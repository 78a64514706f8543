"""The records on a host: a release, its activation, a switch, a load, the start of its Triton."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from tritonops.documents import parse_record

# Records of earlier versions stay as they are.
_EARLIER_WORDS = {"put back": "rolled back"}
LOG_LOST = "its log was removed or replaced"
"""A reason to restart the embedded Triton: its loads would go unnoticed."""
_STARTED_EARLIER = "an earlier version of this project started it"


def result_word(word: str) -> str:
    """Give the current word for a recorded result."""
    return _EARLIER_WORDS.get(word, word)


@dataclass(frozen=True)
class ReleaseRecord:
    """A release: who made it when, from what, and how this host serves it."""

    id: str
    commit: str
    subject: str
    fingerprint: str
    """A digest of the uploaded files and this host's settings; if it is equal, nothing has to be uploaded."""
    by: str
    at: str
    config: str = "gpu"
    runtime: str = "compose"
    venv: str = ""
    """The digest of its requirements."""
    digest: str = ""
    """The SHA-256 of its manifest; empty for releases of earlier versions, which had none."""

    @property
    def compose_options(self) -> list[str]:
        """The options that select the Compose file of this host."""
        return ["--cpu"] if (self.runtime, self.config) == ("compose", "cpu") else []

    @classmethod
    def parse(cls, text: str) -> ReleaseRecord:
        """Read release.json. Raises ValueError."""
        return parse_record(cls, text)


@dataclass(frozen=True)
class ActivationRecord:
    """The result of the last activation of a release."""

    result: str
    """"done", "locked" (by another deploy), "failed" (before the switch), "rolled back" (the release before serves
    again), or "not rolled back" (it does not, or not all of it)."""
    at: str
    seconds: float = 0.0
    message: str = ""
    served: tuple[tuple[str, int], ...] = ()
    disk: str = ""
    """A digest of the files in Triton's repository; only in older records."""
    env: str = ""
    """A digest of the host's env file."""
    changed: tuple[str, ...] = field(default=())
    """The models that were loaded, reloaded or unloaded."""
    by_hand: tuple[str, ...] = ()
    """The models in service that are not in models.toml."""
    pruned: tuple[str, ...] = ()
    """The models that were taken out of service."""
    seal: str = ""
    """A digest of the inodes and change times of these files; empty in older records."""
    loads: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The fields of a RecordedLoad for each served model."""
    before: str | None = None
    """The current release at the time of this deploy; empty for the first one, None in older records."""
    restarted: tuple[str, ...] = field(default=())
    """The reasons for a restart of Triton; empty without one."""
    gap: float | None = None
    """Seconds for which a model that was served before was not ready during the restart."""
    log_end: str = ""
    """Where the log of the embedded server ended after the last load of this activation; empty in older records."""
    loaded_at: str = ""
    """A time after that load and before any other; empty in older records."""
    disabled: tuple[str, ...] = ()
    """The release's models that are not served because somebody disabled them on this host."""

    @property
    def server(self) -> str:
        """The process that loaded its models; empty if unknown."""
        return next((load.get("server", "") for load in self.loads.values()), "")

    def as_json(self) -> str:
        """Format it as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> ActivationRecord:
        """Read outcome.json. Raises ValueError."""
        activation = parse_record(cls, text)
        return replace(activation, result=result_word(activation.result))


@dataclass(frozen=True)
class SwitchRecord:
    """A switch to another release that is in progress, or was interrupted."""

    to: str
    """The release that it goes to."""
    changed: tuple[str, ...]
    """The models that it changes."""

    @classmethod
    def parse(cls, text: str) -> SwitchRecord:
        """Read switching.json. Raises ValueError."""
        return parse_record(cls, text)


LOGS = {"embedded": ("server.logs", "--lines"), "compose": ("compose.logs", "--tail")}
RESTART = {"embedded": "server.restart", "compose": "compose.restart"}


@dataclass(frozen=True)
class RecordedLoad:
    """The load of one served model."""

    files: str
    """The digest of its files: names and SHA-256."""
    seal: str
    """A digest of their inodes and change times; if it is equal, none was changed since."""
    config: str
    """The digest of the config that Triton served after it."""
    loaded: str
    """The time of Triton's acknowledgement by the host's clock: ISO 8601, UTC."""
    server: str
    """The process that loaded it; empty if unknown."""


def recorded_loads(activation: ActivationRecord | None) -> dict[str, RecordedLoad]:
    """Read the loads; none from records of another version with other fields."""
    try:
        return {name: RecordedLoad(**fields) for name, fields in activation.loads.items()} if activation else {}
    except TypeError:
        return {}


@dataclass(frozen=True)
class StartRecord:
    """How the running Triton was started."""

    parts: Mapping[str, str] = field(default_factory=dict)
    """Digests by name, and the name of the image. Empty where an earlier version wrote the record."""
    url: str | None = None
    """Its gRPC address."""
    gap: float | None = None
    """Seconds for which models were not ready during that start."""

    @classmethod
    def parse(cls, text: str) -> StartRecord:
        """Read shared/runtime."""
        try:
            return parse_record(cls, text)
        except ValueError:
            return cls()

    def reasons(self, parts: Mapping[str, str]) -> tuple[str, ...]:
        """List the parts that differ from the definition of a release."""
        if not self.parts:
            return (_STARTED_EARLIER,)
        names = sorted({*self.parts, *parts})
        return tuple(_described(name, self.parts, parts) for name in names if self.parts.get(name) != parts.get(name))


def _described(name: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    if name == "image" and name in before and name in after:
        return f"image: {before[name]} → {after[name]}"
    return name
