"""What happens on the host once a release lies there: prepare it, switch to it, and roll back if that fails.

It runs in a process of its own, which no lost connection ends. Where it stands is on disk:

    no switching.json               shared/triton is what `current` serves; whatever a release needs is prepared inside
                                    its own folder, where neither Triton nor a restart of Triton sees it
    switching.json, {from, to}      shared/triton and Triton are on their way from one release to the other
    ... and current is `to`         the new release serves; only the bookkeeping is not finished

A failure, SIGTERM and SIGHUP go back to `from` at once. After kill -9 or a power cut the next deploy or rollback
finds switching.json and goes back first. Going back is the same switch in the other direction: the files of
every release stay as hard links in its folder, so it needs no network.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tritonops.documents import MAX_RECORD
from tritonops.errors import (
    DeployError,
    HostLockedError,
    InputError,
    NotRolledBackError,
    RolledBackError,
    TritonError,
    TritonOpsError,
    UnreadableFileError,
)
from tritonops.files import read_text_if_present, write_json
from tritonops.models.dependents import declared_callers
from tritonops.models.digest_cache import DigestCache
from tritonops.models.repository import Repository
from tritonops.remote.answers import config_digest
from tritonops.remote.by_hand import ByHand, carry_over, listed_models
from tritonops.remote.hold import Holder, hold
from tritonops.remote.layout import DIGESTS, Layout, Outcome, Release, Report, Switch
from tritonops.remote.loads import (
    Load,
    digest_files,
    recorded_loads,
    require_locked,
    seal,
    server_process,
    untouched,
)
from tritonops.remote.mirror import differing, discard, mirror
from tritonops.remote.prepare import prepare
from tritonops.remote.release_env import adopt_env, copy_env, is_as_host_env, settings_of
from tritonops.remote.remains import is_whole, make_again, make_room, set_reserve_aside
from tritonops.remote.runtime import Restart, Runtime
from tritonops.remote.serving import serve, smoke
from tritonops.remote.serving import served as served_models
from tritonops.remote.trial import end_left_trials, try_release
from tritonops.triton.client import TritonClient, connect
from tritonops.triton.closed import require_closed_grpc
from tritonops.triton.disk import Disk

KEEP = 5
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def activate(layout: Layout, name: str, *, by: str, kind: str, prune_models: bool = False, report: Report) -> Outcome:
    """Bring the host to the release `name`, prepared first unless it was before; `kind` is for the records.

    The outcome says whether that was done; where it was not, what was served before is, unless it says otherwise.
    Each is in the audit log, a refusal too.
    """
    started = time.monotonic()
    with _ended_by_signals():
        try:
            make_room(layout, report=report)
            release = layout.release(name)
        except (TritonOpsError, OSError, KeyboardInterrupt) as exc:
            outcome = _failed(exc, seconds=_since(started))
            _audit(layout, name, "", outcome, by=by, kind=kind)
            return outcome
        try:
            with hold(layout.lock, Holder(by, _now(), f"{kind} of {name}", os.getpid())):
                return _activated(layout, release, started, by=by, kind=kind, prune_models=prune_models, report=report)
        except (TritonOpsError, OSError, KeyboardInterrupt) as exc:
            outcome = _failed(exc, seconds=_since(started))
            _record(layout, release, outcome, by=by, kind=kind)
            return outcome


def _activated(
    layout: Layout, release: Release, started: float, *, by: str, kind: str, prune_models: bool, report: Report
) -> Outcome:
    before, current = _served_before(layout, release), layout.current
    was_sealed = current is not None and is_sealed(layout, current)
    _record_killed(layout, release)
    try:
        switched, by_hand = _steps(layout, release, report, prune_models=prune_models)
    except (TritonOpsError, OSError, KeyboardInterrupt, SystemExit) as exc:
        outcome = _failed(exc, seconds=_since(started))
        _record(layout, release, outcome, by=by, kind=kind)
        if was_sealed and current and not layout.journal.exists():
            _record_seal(layout, current)
        return outcome
    outcome = replace(_done(layout, release, switched, by_hand), seconds=_since(started), before=before)
    _record(layout, release, outcome, by=by, kind=kind)
    with suppress(TritonOpsError, OSError):  # what serves is done, whatever cannot be tidied up
        prune(layout)
        set_reserve_aside(layout)
    return _record_seal(layout, release) or outcome


def _failed(exc: BaseException, *, seconds: float) -> Outcome:
    kinds = ((HostLockedError, "locked"), (RolledBackError, "rolled back"), (NotRolledBackError, "not rolled back"))
    result = next((word for kind, word in kinds if isinstance(exc, kind)), "failed")
    return Outcome(result, _now(), seconds, message=_worded(exc))


def _done(layout: Layout, release: Release, switched: Switched, by_hand: ByHand) -> Outcome:
    served, restart = switched.served, switched.served.restart
    return Outcome(
        "done",
        _now(),
        served=served.models,
        env=read_digests(layout)[1] if is_as_host_env(layout, release) else "another one",
        changed=switched.changed,
        by_hand=by_hand.kept,
        pruned=by_hand.pruned,
        loads={name: asdict(load) for name, load in served.loads.items()},
        restarted=restart.reasons if restart else (),
        gap=restart.gap if restart else None,
    )


def _steps(layout: Layout, release: Release, report: Report, *, prune_models: bool) -> tuple[Switched, ByHand]:
    _refuse_what_never_served(release)
    before = layout.current
    if before and not is_whole(before):
        make_again(layout, before, release, report=report)
    repair(layout, report=report)
    recorded = recorded_loads(before.outcome if before else None)
    loads = untouched(recorded, layout.models_dir)
    end_left_trials(layout)
    if before and before.id != release.id:
        report(f"keep what {before.id} serves")
        mirror(layout.models_dir, before.models_dir)
        adopt_env(layout, before)
    is_new = release.outcome is None
    if is_new:
        copy_env(layout, release)
        prepare(layout, release, report=report)
    by_hand = carry_over(layout, release, prune=prune_models)
    optional, touched = _not_served(layout, by_hand.kept), sorted(recorded.keys() - loads.keys())
    if is_new and before:
        try_release(layout, release, optional=optional, report=report)
    switched = switch(layout, before, release, optional=optional, touched=touched, loads=loads, report=report)
    return switched, by_hand


def _record_killed(layout: Layout, release: Release) -> None:
    """Record the activations that ended without a word: by kill -9 or a power cut."""
    for other in map(layout.release, layout.names()):
        pids = [path.read_text(encoding="utf-8").strip() for path in other.path.glob("runs/*.pid")]
        is_running = any(Path("/proc", pid).exists() for pid in pids if pid)
        if other.id != release.id and other.outcome is None and pids and not is_running:
            outcome = Outcome("failed", _now(), message="killed, before it could say what came of it")
            _record(layout, other, outcome, by=_maker(other), kind="deploy")


def _maker(release: Release) -> str:
    try:
        return release.facts.by
    except TritonOpsError:
        return "somebody"


def _served_before(layout: Layout, release: Release) -> str | None:
    """What a rollback of this release goes to: a rollback to it changes nothing about that."""
    if release.outcome:
        return release.outcome.before
    return layout.current.id if layout.current else ""


def _not_served(layout: Layout, names: Collection[str]) -> set[str]:
    """Those that the running Triton does not serve: such a model does not have to be served after the switch either."""
    current = layout.current
    if current is None or not names:
        return {*names}
    settings = settings_of(layout, current)
    with connect(settings.triton_url, token=settings.triton_token) as client:
        try:
            return {*names} - {name for name, _ in served_models(client)}
        except TritonError:
            return {*names}


def _refuse_what_never_served(release: Release) -> None:
    if release.outcome and release.outcome.result != "done":
        raise InputError(
            f"{release.id} never served: its deploy failed", hint="inv remote.releases shows those that did."
        )


def repair(layout: Layout, *, report: Report) -> None:
    """Go back to what was served before a switch that was interrupted; nothing where none was."""
    try:
        text = read_text_if_present(layout.journal, MAX_RECORD)
        if text is None:
            return
        interrupted = Switch.parse(text)
    except (UnreadableFileError, ValueError) as exc:
        report(f"{layout.journal} cannot be read, so every model is loaded again: {exc}")
        interrupted = Switch("another release", _all_names(layout))
    current = layout.current
    if current is None or current.id != interrupted.to:
        report(f"the switch to {interrupted.to} was interrupted: go back")
        try:
            by_hand = carry_over(layout, current, ignore=_listed_by(layout, interrupted.to)) if current else ByHand()
            roll_back(layout, current, None, list(interrupted.changed), optional=by_hand.kept, report=report)
        except TritonOpsError as exc:
            # What comes next replaces it all; a model that no longer loads must not stand in its way for ever.
            report(f"not all of it could be rolled back: {exc}")
    layout.journal.unlink()


def _listed_by(layout: Layout, name: str) -> frozenset[str]:
    return listed_models(layout.release(name)) if name in layout.names() else frozenset()


def _newest(layout: Layout) -> Release | None:
    names = layout.names()
    return layout.release(names[-1]) if names else None


def _all_names(layout: Layout) -> tuple[str, ...]:
    folders = [layout.models_dir, *([layout.current.models_dir] if layout.current else [])]
    return tuple(sorted({name for folder in folders for name in Repository(folder).names()}))


@dataclass(frozen=True)
class Switched:
    """What a switch did: the models that changed, and what is served now."""

    changed: tuple[str, ...]
    served: Served


def switch(
    layout: Layout,
    before: Release | None,
    release: Release,
    *,
    optional: Collection[str] = (),
    touched: Sequence[str] = (),
    loads: Mapping[str, Load],
    report: Report,
) -> Switched:
    """Serve `release` in place of `before`; when any of it fails, `before` is served again and the error raised.

    Models of `optional` need not be served. Models that somebody `touched` on the disk since they were loaded
    are loaded again; `loads` are those of the rest.
    """
    changed = sorted({*differing(release.models_dir, layout.models_dir), *touched})
    write_json(
        layout.journal, {"from": before.id if before else None, "to": release.id, "changed": changed, "at": _now()}
    )
    try:
        served = bring(layout, release, changed, optional=optional, loads=loads, report=report)
        settings = settings_of(layout, release)
        require_locked(release, settings, layout.models_dir, served.digests)
        with connect(settings.triton_url, token=settings.triton_token) as client:
            smoke(client, settings.config_dir, {name for name, _ in served.models}, report=report)
        if settings.triton_token:
            require_closed_grpc(settings.triton_url)
        _ignore_signals()  # it serves: nothing is left to interrupt
        layout.point_current_to(release)
    except (Exception, KeyboardInterrupt, SystemExit) as exc:
        _ignore_signals()
        raise _roll_back_after(exc, layout, before, release, changed, optional, loads, report) from exc
    layout.journal.unlink()
    return Switched(tuple(changed), served)


def _roll_back_after(
    exc: BaseException,
    layout: Layout,
    before: Release | None,
    release: Release,
    changed: list[str],
    optional: Collection[str],
    loads: Mapping[str, Load],
    report: Report,
) -> DeployError:
    """Put back what was served, and word what happened with the server's own last lines."""
    report(f"failed: {_worded(exc)}")
    said = Runtime(layout, release).last_lines()
    message = _worded(exc) + (f"\nThe server's last lines:\n{said}" if said else "")
    try:
        roll_back(layout, before, release, changed, optional=optional, loads=loads, report=report)
    except (TritonOpsError, OSError) as again:
        message += f"\nThe rollback to what was served before failed too: {again}"
        return NotRolledBackError(message, hint="The next deploy or rollback tries that again.")
    layout.journal.unlink()
    return RolledBackError(message, hint=getattr(exc, "hint", None))


def roll_back(
    layout: Layout,
    before: Release | None,
    release: Release | None,
    changed: list[str],
    *,
    optional: Collection[str] = (),
    loads: Mapping[str, Load] | None = None,
    report: Report,
) -> None:
    """Serve again what was served before a switch to `release`; where nothing was, stop the runtime."""
    layout.reserve.unlink(missing_ok=True)  # to go back must not fail for want of space
    if before is None:
        report("nothing was served before: stop")
        if release or (release := _newest(layout)):
            Runtime(layout, release).down(report=report)
        for name in Repository(layout.models_dir).names():
            discard(Repository(layout.models_dir), name)
    else:
        report(f"serve {before.id} again")
        bring(layout, before, changed, optional=optional, loads=loads or {}, report=report)


@dataclass(frozen=True)
class Served:
    """What a host serves now, and from what each model was loaded."""

    models: tuple[tuple[str, int], ...]
    loads: Mapping[str, Load]
    digests: DigestCache
    restart: Restart | None = None
    """The restart that this took; None where there was none."""


def bring(
    layout: Layout,
    release: Release,
    changed: list[str],
    *,
    optional: Collection[str],
    loads: Mapping[str, Load],
    report: Report,
) -> Served:
    """Install what a release serves, start the runtime where it is not what it should be, and load and unload.

    `loads` are those of models that nobody touched since: whatever server there is has loaded these very files.
    """
    report(f"install {', '.join(changed) or 'nothing: the models are the same'}")
    mirror(release.models_dir, layout.models_dir)
    restart = Runtime(layout, release).up(report=report)
    settings = settings_of(layout, release)
    server = server_process(layout, release, settings)
    known = {} if restart else {name: load for name, load in loads.items() if name not in changed}
    with connect(settings.triton_url, token=settings.triton_token) as client:
        callers = declared_callers(settings.models_toml)
        disk = Disk.of(layout.models_dir, settings.triton_url, callers=callers)
        names = set(Repository(layout.models_dir).enabled_names())
        proved = names if restart else known.keys() | (names - listed_models(release))
        serve(client, disk, () if restart else changed, optional=optional, proved=proved, report=report)
        served = _read_back(layout, release, client, known, server)
    if server_process(layout, release, settings) != server:
        raise DeployError("Triton was started by somebody else meanwhile: what it loaded is unknown")
    return replace(served, restart=restart)


def _read_back(
    layout: Layout, release: Release, client: TritonClient, known: Mapping[str, Load], server: str
) -> Served:
    """Read back what is served, and digest the files that the release's own models were loaded from."""
    digests = DigestCache(layout.store_dir / "digests.json")
    models = served_models(client)
    loads = {}
    for name in sorted({name for name, _ in models} & listed_models(release)):
        folder = layout.models_dir / name
        loaded = known[name].loaded if name in known and known[name].server == server else _now()
        config = config_digest(client, name)
        loads[name] = Load(digest_files(folder, digests), seal(folder), config, loaded, server)
    return Served(models, loads, digests)


def prune(layout: Layout, *, keep: int = KEEP) -> None:
    """Delete all but the newest releases that served, and the environments and envs that none of the rest uses.

    The current release stays, and the one that a rollback goes to.
    """
    names, current = layout.names(), layout.current
    needed = {current.id, current.outcome.before if current.outcome else None} if current else set()
    done = [name for name in names if (outcome := layout.release(name).outcome) and outcome.result == "done"][-keep:]
    for name in names:
        newer = bool(done) and name > done[-1]
        if name not in done and not newer and name not in needed:
            shutil.rmtree(layout.root / "releases" / name)
    used = {layout.release(name).facts.venv for name in layout.names()}
    for venv in (layout.shared / "venvs").glob("*/"):
        if venv.name not in used:
            shutil.rmtree(venv)
    for env in (layout.root / "envs").glob("*"):
        if env.name not in layout.names():
            env.unlink()


def _record(layout: Layout, release: Release, outcome: Outcome, *, by: str, kind: str) -> None:
    """Keep the outcome; where that fails, whoever follows the activation has it nevertheless."""
    with suppress(OSError):
        _write_records(layout, release, outcome, by=by, kind=kind)


def _write_records(layout: Layout, release: Release, outcome: Outcome, *, by: str, kind: str) -> None:
    if outcome.result == "done" or release.outcome is None:
        release.save_outcome(outcome)
    _audit(layout, release.id, _digest_of(release), outcome, by=by, kind=kind)


def _digest_of(release: Release) -> str:
    try:
        return release.facts.digest
    except TritonOpsError:
        return ""


def _audit(layout: Layout, name: str, digest: str, outcome: Outcome, *, by: str, kind: str) -> None:
    with suppress(OSError):
        layout.audit(
            at=outcome.at,
            by=by,
            what=kind,
            release=name,
            digest=digest,
            result=outcome.result,
            changed=outcome.changed,
            seconds=outcome.seconds,
            restarted=outcome.restarted,
            gap=outcome.gap,
            message=outcome.message.splitlines()[0] if outcome.message else "",
        )


def is_sealed(layout: Layout, release: Release) -> bool:
    """Whether the files that Triton is shown are those that this release left, and nobody changed one since."""
    outcome = release.outcome
    disk, _, seal_now = read_digests(layout)
    return outcome is not None and (outcome.seal == seal_now if outcome.seal else outcome.disk == disk)


def _record_seal(layout: Layout, release: Release) -> Outcome | None:
    """Record what the kernel says of the files once nothing more is linked to them; None where that fails."""
    outcome = release.outcome
    if outcome is None:
        return None
    disk, _, seal_now = read_digests(layout)
    loads = {name: {**load, "seal": seal(layout.models_dir / name)} for name, load in outcome.loads.items()}
    sealed = replace(outcome, disk=disk, seal=seal_now, loads=loads)
    try:
        release.save_outcome(sealed)
    except OSError:
        return None
    return sealed


def read_digests(layout: Layout) -> list[str]:
    """Read what DIGESTS says of this host, in the words that a survey uses too: disk, env and seal."""
    done = subprocess.run(["sh", "-c", DIGESTS], cwd=layout.root, capture_output=True, text=True, check=True)
    return done.stdout.split()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Make the first SIGTERM or SIGHUP an interruption like Ctrl-C, after which the switch is rolled back."""

    def interrupt(*_: Any) -> None:
        _ignore_signals()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    """To go back is not interrupted."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _worded(exc: BaseException) -> str:
    return "interrupted" if isinstance(exc, KeyboardInterrupt | SystemExit) else str(exc)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 1)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
