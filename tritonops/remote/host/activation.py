"""Activate a release on its host: prepare it, switch to it, and roll back if that fails.

It runs in a process of its own, which survives a lost connection. Its progress is on disk:

    no switching.json               shared/triton is what `current` serves; a release is prepared inside its own
                                    folder, hidden from Triton and from a restart of Triton
    switching.json, {from, to}      shared/triton and Triton are between two releases
    ... and current is `to`         the new release serves; only the records are incomplete

A failure, SIGTERM and SIGHUP roll back to `from` at once. After kill -9 or a power cut the next deploy or rollback
finds switching.json and rolls back first. A rollback is the same switch in the other direction: the files of every
release stay as hard links in its folder, so it needs no network.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tritonops.documents import MAX_RECORD
from tritonops.errors import (
    HostLockedError,
    InputError,
    NotRolledBackError,
    RolledBackError,
    TritonError,
    TritonOpsError,
    UnreadableFileError,
)
from tritonops.files import read_text_if_present
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.disk.repository import Repository
from tritonops.remote.host.audit_and_seal import (
    append_audit,
    is_sealed,
    read_digests,
    record_activation,
    record_bytecode,
    record_seal,
)
from tritonops.remote.host.by_hand import ByHand, carry_over, listed_models
from tritonops.remote.host.loads import loads_since, require_pinned, unchanged_loads
from tritonops.remote.host.mirror import mirror
from tritonops.remote.host.old_releases import delete_old_releases
from tritonops.remote.host.prepare import prepare
from tritonops.remote.host.recovery import allocate_reserve, is_complete, make_room, rebuild_release
from tritonops.remote.host.release_env import adopt_env, copy_env, is_as_host_env, settings_of
from tritonops.remote.host.switching import (
    SIGNALS,
    SwitchResult,
    describe_error,
    ignore_signals,
    roll_back,
    switch,
    utc_now,
)
from tritonops.remote.host.trial import end_left_trials, try_release
from tritonops.remote.layout.callbacks import OnStep
from tritonops.remote.layout.deploy_lock import LockOwner, deploy_lock
from tritonops.remote.layout.paths import Layout, Release
from tritonops.remote.layout.records import ActivationRecord, SwitchRecord, recorded_loads
from tritonops.remote.layout.triton_state import ready_versions
from tritonops.triton.client.client import connect


def activate(
    layout: Layout, name: str, *, by: str, kind: str, prune_models: bool = False, on_step: OnStep
) -> ActivationRecord:
    """Serve the release `name`, which is prepared first if it is new; `kind` is for the records.

    Failures are not raised: they are in the returned record. Each activation is in the audit log, a refusal too.
    """
    started = time.monotonic()
    with _ended_by_signals():
        try:
            make_room(layout, on_step=on_step)
            release = layout.release(name)
        except (TritonOpsError, OSError, KeyboardInterrupt) as exc:
            activation = _failed(exc, seconds=_since(started))
            append_audit(layout, name, "", activation, by=by, kind=kind)
            return activation
        try:
            with deploy_lock(layout.lock, LockOwner(by, utc_now(), f"{kind} of {name}", os.getpid())):
                return _activated(
                    layout, release, started, by=by, kind=kind, prune_models=prune_models, on_step=on_step
                )
        except (TritonOpsError, OSError, KeyboardInterrupt) as exc:
            activation = _failed(exc, seconds=_since(started))
            record_activation(layout, release, activation, by=by, kind=kind)
            return activation


def _activated(
    layout: Layout, release: Release, started: float, *, by: str, kind: str, prune_models: bool, on_step: OnStep
) -> ActivationRecord:
    before, current = _served_before(layout, release), layout.current
    was_sealed = current is not None and is_sealed(layout, current)
    _record_killed(layout, release)
    try:
        switched, by_hand = _steps(layout, release, on_step, prune_models=prune_models)
    except (TritonOpsError, OSError, KeyboardInterrupt, SystemExit) as exc:
        activation = _failed(exc, seconds=_since(started))
        record_activation(layout, release, activation, by=by, kind=kind)
        if was_sealed and current and not layout.switch_record.exists():
            record_seal(layout, current)
        return activation
    activation = replace(_done(layout, release, switched, by_hand), seconds=_since(started), before=before)
    record_activation(layout, release, activation, by=by, kind=kind)
    if kind == "deploy":
        record_bytecode(release)
    with suppress(TritonOpsError, OSError):  # the release serves, even if the cleanup fails
        delete_old_releases(layout)
        allocate_reserve(layout)
    return record_seal(layout, release) or activation


def _failed(exc: BaseException, *, seconds: float) -> ActivationRecord:
    kinds = ((HostLockedError, "locked"), (RolledBackError, "rolled back"), (NotRolledBackError, "not rolled back"))
    result = next((word for kind, word in kinds if isinstance(exc, kind)), "failed")
    return ActivationRecord(result, utc_now(), seconds, message=describe_error(exc))


def _done(layout: Layout, release: Release, switched: SwitchResult, by_hand: ByHand) -> ActivationRecord:
    served, restart = switched.served, switched.served.restart
    return ActivationRecord(
        "done",
        utc_now(),
        served=served.models,
        env=read_digests(layout)[1] if is_as_host_env(layout, release) else "another one",
        changed=switched.changed,
        by_hand=by_hand.kept,
        pruned=by_hand.pruned,
        loads={name: asdict(load) for name, load in served.loads.items()},
        restarted=restart.reasons if restart else (),
        gap=restart.gap if restart else None,
        log_end=served.log_end,
        loaded_at=served.loaded_at,
        disabled=_disabled(release),
    )


def _disabled(release: Release) -> tuple[str, ...]:
    """Name the release's models that somebody disabled on this host; each release begins as the one before was."""
    listed = listed_models(release)
    return tuple(name for name in Repository(release.models_dir).disabled_names() if name in listed)


def _steps(layout: Layout, release: Release, on_step: OnStep, *, prune_models: bool) -> tuple[SwitchResult, ByHand]:
    _require_served_before(release)
    before = layout.current
    if before and not is_complete(before):
        rebuild_release(layout, before, release, on_step=on_step)
    undo_interrupted_switch(layout, on_step=on_step)
    recorded = recorded_loads(before.activation if before else None)
    since = loads_since(layout, before) if before else frozenset()
    unchanged = unchanged_loads(recorded, layout.models_dir)
    loads = {name: load for name, load in unchanged.items() if name not in since}
    end_left_trials(layout)
    if before and before.id != release.id:
        on_step(f"keep what {before.id} serves")
        mirror(layout.models_dir, before.models_dir)
        adopt_env(layout, before)
    is_new = release.activation is None
    if is_new:
        copy_env(layout, release)
        prepare(layout, release, on_step=on_step)
    else:  # its files may have been overwritten in place since
        digests = DigestCache(layout.store_dir / "digests.json")
        require_pinned(release, settings_of(layout, release), release.models_dir, digests)
    by_hand = carry_over(layout, release, prune=prune_models)
    optional, touched = _not_served(layout, by_hand.kept), sorted(recorded.keys() - loads.keys())
    if is_new and before:
        try_release(layout, release, optional=optional, on_step=on_step)
    switched = switch(layout, before, release, optional=optional, touched=touched, loads=loads, on_step=on_step)
    return switched, by_hand


def _record_killed(layout: Layout, release: Release) -> None:
    """Record the activations that ended without a record: by kill -9 or a power cut."""
    for other in map(layout.release, layout.names()):
        pids = [path.read_text(encoding="utf-8").strip() for path in other.path.glob("runs/*.pid")]
        is_running = any(Path("/proc", pid).exists() for pid in pids if pid)
        if other.id != release.id and other.activation is None and pids and not is_running:
            activation = ActivationRecord("failed", utc_now(), message="killed before it could record its result")
            record_activation(layout, other, activation, by=_made_by(other), kind="deploy")


def _made_by(release: Release) -> str:
    try:
        return release.record.by
    except TritonOpsError:
        return "somebody"


def _served_before(layout: Layout, release: Release) -> str | None:
    """Name the target of a rollback from this release; a rollback to it does not change that."""
    if release.activation:
        return release.activation.before
    return layout.current.id if layout.current else ""


def _not_served(layout: Layout, names: Collection[str]) -> set[str]:
    """List the models that are not served now, and so need not be served after the switch."""
    current = layout.current
    if current is None or not names:
        return {*names}
    settings = settings_of(layout, current)
    with connect(settings.triton_url, token=settings.triton_token) as client:
        try:
            return {*names} - {name for name, _ in ready_versions(client)}
        except TritonError:
            return {*names}


def _require_served_before(release: Release) -> None:
    if release.activation and release.activation.result != "done":
        raise InputError(
            f"{release.id} never served: its deploy failed", hint="inv remote.releases shows those that did."
        )


def undo_interrupted_switch(layout: Layout, *, on_step: OnStep) -> None:
    """Roll back a switch that was interrupted, if there was one."""
    try:
        text = read_text_if_present(layout.switch_record, MAX_RECORD)
        if text is None:
            return
        interrupted = SwitchRecord.parse(text)
    except (UnreadableFileError, ValueError) as exc:
        on_step(f"{layout.switch_record} cannot be read, so every model is loaded again: {exc}")
        interrupted = SwitchRecord("another release", _all_names(layout))
    current = layout.current
    if current is None or current.id != interrupted.to:
        on_step(f"the switch to {interrupted.to} was interrupted: go back")
        try:
            by_hand = carry_over(layout, current, ignore=_listed_by(layout, interrupted.to)) if current else ByHand()
            roll_back(layout, current, None, list(interrupted.changed), optional=by_hand.kept, on_step=on_step)
        except TritonOpsError as exc:
            # The next switch replaces it all; a model that no longer loads must not block it for ever.
            on_step(f"not all of it could be rolled back: {exc}")
    layout.switch_record.unlink()


def _listed_by(layout: Layout, name: str) -> frozenset[str]:
    return listed_models(layout.release(name)) if name in layout.names() else frozenset()


def _all_names(layout: Layout) -> tuple[str, ...]:
    folders = [layout.models_dir, *([layout.current.models_dir] if layout.current else [])]
    return tuple(sorted({name for folder in folders for name in Repository(folder).names()}))


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Treat the first SIGTERM or SIGHUP like Ctrl-C, which rolls back the switch."""

    def interrupt(*_: Any) -> None:
        ignore_signals()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 1)
