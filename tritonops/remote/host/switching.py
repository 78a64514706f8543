"""Switch a host from one release to another, and roll back if that fails."""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

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
    log_end,
    require_pinned,
    seal,
    server_process,
)
from tritonops.remote.host.mirror import differing, discard, mirror
from tritonops.remote.host.release_env import settings_of
from tritonops.remote.host.restarts import Restart, Runtime
from tritonops.remote.host.serving import smoke_test, update_server
from tritonops.remote.layout.callbacks import OnStep
from tritonops.remote.layout.paths import Layout, Release
from tritonops.remote.layout.records import RecordedLoad
from tritonops.remote.layout.triton_state import config_digest, ready_versions
from tritonops.triton.client.client import TritonClient, connect
from tritonops.triton.client.token_proof import require_closed_grpc
from tritonops.triton.disk.served_folder import ServedFolder

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def _newest(layout: Layout) -> Release | None:
    names = layout.names()
    return layout.release(names[-1]) if names else None


@dataclass(frozen=True)
class SwitchResult:
    """The models that a switch changed, and those that are served now."""

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
    """Serve `release` in place of `before`; after a failure serve `before` again, and raise the error.

    Models of `optional` need not be served. Models that were `touched` on disk since their load are reloaded; `loads`
    are those of the others.
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
            smoke_test(client, settings.config_dir, {name for name, _ in served.models}, on_step=on_step)
        if settings.triton_token:
            require_closed_grpc(settings.triton_url)
        ignore_signals()  # it serves, so an interruption comes too late
        layout.point_current_to(release)
    except (Exception, KeyboardInterrupt, SystemExit) as exc:
        ignore_signals()
        error = _roll_back_after(exc, layout, before, release, changed, optional=optional, loads=loads, on_step=on_step)
        raise error from exc
    layout.switch_record.unlink()
    return SwitchResult(tuple(changed), served)


def _roll_back_after(
    exc: BaseException,
    layout: Layout,
    before: Release | None,
    release: Release,
    changed: list[str],
    *,
    optional: Collection[str],
    loads: Mapping[str, RecordedLoad],
    on_step: OnStep,
) -> DeployError:
    """Roll back, and word the failure with the last lines of the server's log."""
    on_step(f"failed: {describe_error(exc)}")
    log = Runtime(layout, release).last_lines()
    message = describe_error(exc) + (f"\nThe server's last lines:\n{log}" if log else "")
    try:
        roll_back(layout, before, release, changed, optional=optional, loads=loads, on_step=on_step)
    except (TritonOpsError, OSError) as again:
        message += f"\nThe rollback to the release before failed too: {again}"
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
    """Serve the release before a switch to `release` again; without one, stop Triton."""
    layout.reserve.unlink(missing_ok=True)  # a rollback must not fail on a full disk
    if before is None:
        on_step("nothing was served before: stop")
        if release or (release := _newest(layout)):
            Runtime(layout, release).down(on_step=on_step)
        for name in Repository(layout.models_dir).names():
            discard(Repository(layout.models_dir), name)
    else:
        on_step(f"serve {before.id} again")
        if release and release.record.runtime != before.record.runtime:
            Runtime(layout, release).down(on_step=on_step)  # it has the ports
        serve_release(layout, before, changed, optional=optional, loads=loads or {}, on_step=on_step)


@dataclass(frozen=True)
class ServedModels:
    """The served versions, and the load of each model."""

    models: tuple[tuple[str, int], ...]
    loads: Mapping[str, RecordedLoad]
    digests: DigestCache
    restart: Restart | None = None
    """The restart of Triton, if there was one."""
    log_end: str = ""
    loaded_at: str = ""
    """The fields of the record with these names."""


def serve_release(
    layout: Layout,
    release: Release,
    changed: list[str],
    *,
    optional: Collection[str],
    loads: Mapping[str, RecordedLoad],
    on_step: OnStep,
) -> ServedModels:
    """Install the models of a release, restart Triton where its definition differs, and load and unload.

    `loads` are those of unchanged models: the running server has loaded these very files.
    """
    on_step(f"install {', '.join(changed) or 'nothing: the models are the same'}")
    mirror(release.models_dir, layout.models_dir)
    restart = Runtime(layout, release).up(on_step=on_step)
    settings = settings_of(layout, release)
    server = _require_server(layout, release)
    known = {} if restart else {name: load for name, load in loads.items() if name not in changed}
    with connect(settings.triton_url, token=settings.triton_token) as client:
        callers = declared_callers(settings.models_toml)
        disk = ServedFolder.of(layout.models_dir, settings.triton_url, callers=callers)
        names = set(Repository(layout.models_dir).enabled_names())
        proved = names if restart else known.keys() | (names - listed_models(release))
        update_server(client, disk, () if restart else changed, optional=optional, proved=proved, on_step=on_step)
        served = _read_back(layout, release, client, known, server)
    if server_process(layout, release.record.runtime) != server:
        raise DeployError("another process restarted Triton meanwhile, so its loads are unknown")
    return replace(served, restart=restart)


def _require_server(layout: Layout, release: Release) -> str:
    """Identify the server of this folder: what answers on its ports may be another one's."""
    if server := server_process(layout, release.record.runtime):
        return server
    raise DeployError(
        f"no Triton of {layout.root} runs; what answers on its ports is another one",
        hint="Choose other ports for one of them: TRITON_EXPOSE_HTTP, _GRPC and _METRICS with inv remote.env",
    )


def _read_back(
    layout: Layout, release: Release, client: TritonClient, known: Mapping[str, RecordedLoad], server: str
) -> ServedModels:
    """Read back the served versions, and digest the files that the release's own models were loaded from."""
    digests = DigestCache(layout.store_dir / "digests.json")
    models, end = ready_versions(client), log_end(layout)
    loaded_at = _later()
    loads = {}
    for name in sorted({name for name, _ in models} & listed_models(release)):
        folder = layout.models_dir / name
        loaded = known[name].loaded if name in known and known[name].server == server else utc_now()
        config = config_digest(client, name)
        loads[name] = RecordedLoad(digest_files(folder, digests), seal(folder), config, loaded, server)
    return ServedModels(models, loads, digests, log_end=end, loaded_at=loaded_at)


def _later() -> str:
    """Give the time in a second: Docker may receive the lines of our own loads a little later than they were logged."""
    return f"{datetime.now(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S.%fZ}"


def ignore_signals() -> None:
    """Let nothing interrupt a rollback."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def describe_error(exc: BaseException) -> str:
    """Give the message for the records."""
    return "interrupted" if isinstance(exc, KeyboardInterrupt | SystemExit) else str(exc)


def utc_now() -> str:
    """Give the time as ISO 8601, UTC."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
