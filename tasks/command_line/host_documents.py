"""What the tasks about hosts print with --json: a row for each host, release or check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from tritonops.remote.client.preflight import PreflightResult
from tritonops.remote.layout.records import ReleaseRecord
from tritonops.remote.plan import HostChange
from tritonops.remote.status import HostStatus


class DeployRow(TypedDict):
    """The result of one host."""

    host: str
    result: str | None
    release: str | None
    digest: str | None
    proof: str | None
    changed: list[str]
    seconds: float | None
    not_in_models_toml: list[str]
    disabled: list[str]
    pruned: list[str]
    restarted: list[str]
    gap: float | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class ChangeRow(HostChange):
    """One difference between this checkout and a host."""

    host: str


@dataclass(frozen=True, kw_only=True)
class ReleaseRow(ReleaseRecord):
    """A release of a host."""

    host: str
    result: str | None
    current: bool


@dataclass(frozen=True, kw_only=True)
class StatusRow(HostStatus):
    """The state of one host; `free` is in bytes."""

    host: str


class HostOutput(TypedDict):
    """What the command printed on one host, and why it failed."""

    host: str
    stdout: list[str]
    stderr: list[str]
    error: str | None


@dataclass(frozen=True, kw_only=True)
class CheckRow(PreflightResult):
    """One check of one host."""

    host: str


LockRow = TypedDict("LockRow", {"host": str, "locked by": str | None, "since": str | None, "for": str | None})
LockRow.__doc__ = "The owner of a host's deploy lock; null where it is unlocked."


class EnvRow(TypedDict):
    """The keys that are set on one host; values are never shown."""

    host: str
    set: list[str]
