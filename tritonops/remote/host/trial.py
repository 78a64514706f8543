"""Try a release on free ports, with the models that change and their smoke tests, before the switch.

So no live request meets a model that does not load or answers wrong, and no server is stopped for one that does not
start. A failure here has not changed what is served.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tritonops.compose import second_container
from tritonops.compose.service import Service
from tritonops.errors import PortTakenError, ServerStartError
from tritonops.models.dependents import declared_callers
from tritonops.models.disk.hard_links import link_or_copy
from tritonops.models.disk.repository import CONFIG_NAME, Repository
from tritonops.models.rules.hazards import ensembles_with, steps_on_disk
from tritonops.project import Project
from tritonops.remote.host.loads import server_process
from tritonops.remote.host.mirror import differing
from tritonops.remote.host.release_env import settings_of
from tritonops.remote.host.restarts import NOT_RUNNING, Runtime
from tritonops.remote.host.serving import smoke_test, update_server
from tritonops.remote.layout.callbacks import OnStep
from tritonops.remote.layout.paths import Layout, Release
from tritonops.remote.layout.triton_state import ready_versions
from tritonops.server import embedded
from tritonops.server.embedded import EmbeddedServer
from tritonops.server.installation import fetch_libpython
from tritonops.server.ports import Ports, free_ports, require_free
from tritonops.settings import Settings
from tritonops.triton.client.client import connect
from tritonops.triton.disk.served_folder import ServedFolder

# Guesses on the high side: a Triton without models, and the memory of a model by the size of its files.
_MEMORY_OF_TRITON = 600_000_000
_MEMORY_PER_BYTE = 2
_PORT_ATTEMPTS = 3
_PYTHON_BACKEND = re.compile(r'^\s*backend\s*:\s*"python"', re.MULTILINE)


def try_release(layout: Layout, release: Release, *, optional: Collection[str] = (), on_step: OnStep) -> None:
    """Raise TritonOpsError where this release would not start, or would answer wrong.

    Models of `optional` need not be served.
    """
    reasons = Runtime(layout, release).restart_reasons()
    if NOT_RUNNING in reasons:
        return
    if reasons:
        require_startable(layout, release, on_step=on_step)
    names = _affected(release.models_dir, differing(release.models_dir, layout.models_dir), all_=bool(reasons))
    if names and _fits(release, names, on_step):
        on_step(f"try {', '.join(names)} on free ports")
        with (
            _trial(layout, release, names, on_step) as (url, settings),
            connect(url, token=settings.triton_token) as client,
        ):
            callers = declared_callers(settings.models_toml)
            disk = ServedFolder.of(settings.models_dir, url, callers=callers)
            update_server(client, disk, (), optional=optional, proved=names, on_step=on_step)
            smoke_test(client, settings.config_dir, {name for name, _ in ready_versions(client)}, on_step=on_step)


def end_left_trials(layout: Layout) -> None:
    """Kill the servers that killed activations left, and remove their folders."""
    for folder in layout.root.glob("releases/*/trial"):
        if left := embedded.find(folder / ".server"):
            embedded.kill(left)
        shutil.rmtree(folder, ignore_errors=True)


def require_startable(layout: Layout, release: Release, *, on_step: OnStep) -> None:
    """Raise TritonOpsError where the runtime of a release cannot start: a port is taken, the image has no Triton."""
    settings = settings_of(layout, release)
    if release.record.runtime == "compose":
        on_step("ask whether the new container can start")
        second_container.require_startable(_service(settings, release), watch=on_step)
        return
    require_free(_ports(settings), ours=_ports_of_running(layout))


def _ports_of_running(layout: Layout) -> Ports | None:
    """The ports of this folder's own server, of either runtime: it ends before the next one starts."""
    if running := embedded.find(layout.shared / ".server"):
        return running.ports
    current = layout.current
    if current and current.record.runtime == "compose" and server_process(layout, "compose"):
        return _ports(settings_of(layout, current))
    return None


def _ports(settings: Settings) -> Ports:
    return Ports(settings.http_port, settings.grpc_port, settings.metrics_port)


@contextmanager
def _trial(layout: Layout, release: Release, names: Collection[str], on_step: OnStep) -> Iterator[tuple[str, Settings]]:
    """Serve these models on free ports; give the address of the server, and its settings."""
    folder = release.path / "trial"
    with _models(release, names, folder) as models_dir:
        settings = settings_of(layout, release, TRITON_MODELS_DIR=str(models_dir))
        if release.record.runtime == "compose":
            with second_container.trial(_service(settings, release), watch=on_step) as served:
                yield served.url, settings
        else:
            fetch_libpython(on_step)
            server = _start_on_free_ports(models_dir, settings)
            try:
                yield server.grpc_url, settings
            finally:
                embedded.kill(server)


def _start_on_free_ports(models_dir: Path, settings: Settings) -> EmbeddedServer:
    """Start a server; on other ports where another server took one of them meanwhile."""
    for _ in range(_PORT_ATTEMPTS - 1):
        try:
            return embedded.start(models_dir, settings.server_dir, ports=free_ports(), token=settings.triton_token)
        except (PortTakenError, ServerStartError) as exc:
            if isinstance(exc, ServerStartError) and "already in use" not in str(exc):
                raise
    return embedded.start(models_dir, settings.server_dir, ports=free_ports(), token=settings.triton_token)


@contextmanager
def _models(release: Release, names: Collection[str], folder: Path) -> Iterator[Path]:
    """Link these models of the release into a models directory of their own."""
    try:
        for name in names:
            source, target = release.models_dir / name, folder / "triton" / name
            shutil.copytree(source, target, copy_function=link_or_copy, symlinks=True)
        yield folder / "triton"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _service(settings: Settings, release: Release) -> Service:
    return Service.of(Project(settings), cpu=release.record.config == "cpu")


def _affected(models_dir: Path, changed: Collection[str], *, all_: bool) -> list[str]:
    """List the changed models, the ensembles with them, and their steps; all where Python may call any of them."""
    # A link is a model that was added by hand; it leads out of the release, where a container cannot follow it.
    every = [name for name in Repository(models_dir).enabled_names() if not (models_dir / name).is_symlink()]
    names = set(every) if all_ else set(changed).intersection(every)
    for name in sorted(names):
        names.update(ensembles_with(models_dir, name))
    if any(_calls_others(models_dir / name) for name in names):
        names = set(every)
    while more := {step for name in names for step in steps_on_disk(models_dir / name)}.intersection(every) - names:
        names |= more
    return sorted(names)


def _calls_others(model: Path) -> bool:
    config = model / CONFIG_NAME
    return config.is_file() and bool(_PYTHON_BACKEND.search(config.read_text("utf-8", errors="replace")))


def _fits(release: Release, names: Collection[str], on_step: OnStep) -> bool:
    """Whether these models fit a second time into the free memory of the machine and its GPUs."""
    files = (path for name in names for path in (release.models_dir / name).rglob("*") if path.is_file())
    needed = _MEMORY_OF_TRITON + _MEMORY_PER_BYTE * sum(path.stat().st_size for path in files)
    free = {"memory": _free_memory(), **({"GPU memory": _free_gpu_memory()} if release.record.config == "gpu" else {})}
    for kind, size in free.items():
        if size is not None and size < needed:
            on_step(f"not tried before the switch: {needed >> 20} MiB of {kind} needed, {size >> 20} MiB free")
            return False
    return True


def _free_memory() -> int | None:
    text = Path("/proc/meminfo").read_text("utf-8")
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _free_gpu_memory() -> int | None:
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    sizes = [int(line) for line in done.stdout.split() if line.isdecimal()]
    return min(sizes) << 20 if sizes else None
