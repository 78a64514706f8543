"""What the tasks about hosts print with --json: a row for each host, release or check."""

from __future__ import annotations

from typing import TypedDict


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
    pruned: list[str]
    restarted: list[str]
    gap: float | None
    error: str | None


class ChangeRow(TypedDict):
    """One difference between this checkout and a host."""

    host: str
    what: str
    name: str
    change: str


class ReleaseRow(TypedDict):
    """A release of a host."""

    host: str
    id: str
    commit: str
    subject: str
    fingerprint: str
    by: str
    at: str
    config: str
    runtime: str
    venv: str
    digest: str
    result: str | None
    current: bool


class StatusRow(TypedDict):
    """The state of one host; `free` is in bytes."""

    host: str
    release: str | None
    digest: str | None
    by: str | None
    at: str | None
    runtime: str | None
    triton: str
    served: int | None
    expected: int | None
    lock: str | None
    free: int


class HostOutput(TypedDict):
    """What the command printed on one host, and why it failed."""

    host: str
    stdout: list[str]
    stderr: list[str]
    error: str | None


class CheckRow(TypedDict):
    """One check of one host."""

    host: str
    check: str
    state: str
    problem: str | None
    remedy: str | None


LockRow = TypedDict("LockRow", {"host": str, "locked by": str | None, "since": str | None, "for": str | None})
LockRow.__doc__ = "The owner of a host's deploy lock; null where it is unlocked."


class EnvRow(TypedDict):
    """The keys that are set on one host; values are never shown."""

    host: str
    set: list[str]
