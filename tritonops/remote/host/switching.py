"""SwitchRecord a host from one release to another, and roll back if that fails."""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tritonops.errors import (
    DeployError,
    NotRolledBackError,
    RolledBackError,
    TritonOpsError,
)
from tritonops.files import write_json
from tritonops.models.dependents import declared_callers
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.disk.repository import Repository
from tritonops.remote.host.by_hand import listed_models
from tritonops.remote.host.loads import (
    digest_files,
    require_pinned,
    seal,
    server_process,
)
from tritonops.remote.host.mirror import differing, discard, mirror
from tritonops.remote.host.release_env import settings_of
from tritonops.remote.host.runtime import Restart, Runtime
from tritonops.remote.host.serving import serve, smoke
from tritonops.remote.layout.paths import Layout, OnStep, Release
from tritonops.remote.layout.records import RecordedLoad
from tritonops.remote.layout.triton_state import config_digest
from tritonops.remote.layout.triton_state import served as served_models
from tritonops.triton.client.client import TritonClient, connect
from tritonops.triton.client.closed import require_closed_grpc
from tritonops.triton.served_folder import ServedFolder

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def _newest(layout: Layout) -> Release | None:
    names = layout.names()
    return layout.release(names[-1]) if names else None


@dataclass(frozen=True)
class SwitchResult:
    """What a switch did: the models that changed, and what is served now."""

    changed: tuple[str, ...]
    served: ServedModels


def switch(
    layout: Layout,
    before: Release | None,
    release: Release,
    *,
    optional: Collection[str] = (),
    touched: Sequence[str] = (),
    loads: Mapping[str, RecordedLoad],
    on_step: OnStep,
) -> SwitchResult:
    """Serve `release` in place of `before`; when any of it fails, `before` is served again and the error raised.

    Models of `optional` need not be served. Models that somebody `touched` on the disk since they were loaded
    are loaded again; `loads` are those of the rest.
    """
    changed = sorted({*differing(release.models_dir, layout.models_dir), *touched})
    write_json(
        layout.switch_record,
        {"from": before.id if before else None, "to": release.id, "changed": changed, "at": utc_now()},
    )
    try:
        served = serve_release(layout, release, changed, optional=optional, loads=loads, on_step=on_step)
        settings = settings_of(layout, release)
        require_pinned(release, settings, layout.models_dir, served.digests)
        with connect(settings.triton_url, token=settings.triton_token) as client:
            smoke(client, settings.config_dir, {name for name, _ in served.models}, on_step=on_step)
        if settings.triton_token:
            require_closed_grpc(settings.triton_url)
        ignore_signals()  # it serves: nothing is left to interrupt
        layout.point_current_to(release)
    except (Exception, KeyboardInterrupt, SystemExit) as exc:
        ignore_signals()
        raise _roll_back_after(exc, layout, before, release, changed, optional, loads, on_step) from exc
    layout.switch_record.unlink()
    return SwitchResult(tuple(changed), served)


def _roll_back_after(
    exc: BaseException,
    layout: Layout,
    before: Release | None,
    release: Release,
    changed: list[str],
    optional: Collection[str],
    loads: Mapping[str, RecordedLoad],
    on_step: OnStep,
) -> DeployError:
    """Put back what was served, and word what happened with the server's own last lines."""
    on_step(f"failed: {describe_error(exc)}")
    said = Runtime(layout, release).last_lines()
    message = describe_error(exc) + (f"\nThe server's last lines:\n{said}" if said else "")
    try:
        roll_back(layout, before, release, changed, optional=optional, loads=loads, on_step=on_step)
    except (TritonOpsError, OSError) as again:
        message += f"\nThe rollback to what was served before failed too: {again}"
        return NotRolledBackError(message, hint="The next deploy or rollback tries that again.")
    layout.switch_record.unlink()
    return RolledBackError(message, hint=getattr(exc, "hint", None))


def roll_back(
    layout: Layout,
    before: Release | None,
    release: Release | None,
    changed: list[str],
    *,
    optional: Collection[str] = (),
    loads: Mapping[str, RecordedLoad] | None = None,
    on_step: OnStep,
) -> None:
    """Serve again what was served before a switch to `release`; where nothing was, stop the runtime."""
    layout.reserve.unlink(missing_ok=True)  # to go back must not fail for want of space
    if before is None:
        on_step("nothing was served before: stop")
        if release or (release := _newest(layout)):
            Runtime(layout, release).down(on_step=on_step)
        for name in Repository(layout.models_dir).names():
            discard(Repository(layout.models_dir), name)
    else:
        on_step(f"serve {before.id} again")
        serve_release(layout, before, changed, optional=optional, loads=loads or {}, on_step=on_step)


@dataclass(frozen=True)
class ServedModels:
    """What a host serves now, and from what each model was loaded."""

    models: tuple[tuple[str, int], ...]
    loads: Mapping[str, RecordedLoad]
    digests: DigestCache
    restart: Restart | None = None
    """The restart that this took; None where there was none."""


def serve_release(
    layout: Layout,
    release: Release,
    changed: list[str],
    *,
    optional: Collection[str],
    loads: Mapping[str, RecordedLoad],
    on_step: OnStep,
) -> ServedModels:
    """Install what a release serves, start the runtime where it is not what it should be, and load and unload.

    `loads` are those of models that nobody touched since: whatever server there is has loaded these very files.
    """
    on_step(f"install {', '.join(changed) or 'nothing: the models are the same'}")
    mirror(release.models_dir, layout.models_dir)
    restart = Runtime(layout, release).up(on_step=on_step)
    settings = settings_of(layout, release)
    server = server_process(layout, release, settings)
    known = {} if restart else {name: load for name, load in loads.items() if name not in changed}
    with connect(settings.triton_url, token=settings.triton_token) as client:
        callers = declared_callers(settings.models_toml)
        disk = ServedFolder.of(layout.models_dir, settings.triton_url, callers=callers)
        names = set(Repository(layout.models_dir).enabled_names())
        proved = names if restart else known.keys() | (names - listed_models(release))
        serve(client, disk, () if restart else changed, optional=optional, proved=proved, on_step=on_step)
        served = _read_back(layout, release, client, known, server)
    if server_process(layout, release, settings) != server:
        raise DeployError("Triton was started by somebody else meanwhile: what it loaded is unknown")
    return replace(served, restart=restart)


def _read_back(
    layout: Layout, release: Release, client: TritonClient, known: Mapping[str, RecordedLoad], server: str
) -> ServedModels:
    """Read back what is served, and digest the files that the release's own models were loaded from."""
    digests = DigestCache(layout.store_dir / "digests.json")
    models = served_models(client)
    loads = {}
    for name in sorted({name for name, _ in models} & listed_models(release)):
        folder = layout.models_dir / name
        loaded = known[name].loaded if name in known and known[name].server == server else utc_now()
        config = config_digest(client, name)
        loads[name] = RecordedLoad(digest_files(folder, digests), seal(folder), config, loaded, server)
    return ServedModels(models, loads, digests)


def ignore_signals() -> None:
    """To go back is not interrupted."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def describe_error(exc: BaseException) -> str:
    """Give the message for the records."""
    return "interrupted" if isinstance(exc, KeyboardInterrupt | SystemExit) else str(exc)


def utc_now() -> str:
    """Give the time as ISO 8601, UTC."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
