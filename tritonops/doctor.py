"""What this machine needs to download, serve and deploy: each part is checked as its own task would use it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tritonops.compose.engine.docker import Docker
from tritonops.compose.service import Service, settle
from tritonops.compose.serving import describe
from tritonops.errors import TritonOpsError
from tritonops.models.lock import compare_lock
from tritonops.project import Project
from tritonops.server.installation import find_installation
from tritonops.triton.client.token_proof import require_closed_grpc

_GB = 1_000_000_000


@dataclass(frozen=True)
class DoctorResult:
    """The result of one check; `remedy` says what to do where it is not ok."""

    check: str
    ok: bool
    detail: str
    remedy: str | None = None


def examine(project: Project) -> list[DoctorResult]:
    """Run every check.

    Nothing is changed, except that a replacement of the Compose service's container is finished or undone if its
    process was killed.
    """
    return [_asked(name, check, project) for name, check in _CHECKS.items()]


def can_serve(results: list[DoctorResult], runtime: str | None) -> bool:
    """Whether there is a catalogue, a disk, and the runtime (TRITON_RUNTIME), or one of the two where it is None."""
    ok = {result.check for result in results if result.ok}
    checks = {"embedded": "embedded Triton", "compose": "Docker Compose"}
    runtimes = {checks[runtime]} if runtime else {*checks.values()}
    return {"models.toml", "disk"} <= ok and bool(runtimes & ok)


def _asked(name: str, check: Callable[[Project], str], project: Project) -> DoctorResult:
    try:
        return DoctorResult(name, True, check(project))
    except TritonOpsError as exc:
        return DoctorResult(name, False, str(exc), exc.hint)


def _catalogue(project: Project) -> str:
    catalog = project.catalog
    return f"{len(catalog.names)} models, {len(catalog.versions)} versions"


def _lock(project: Project) -> str:
    compare_lock(project).raise_if_different()
    return "every version is pinned"


def _disk(project: Project) -> str:
    settings = project.settings
    project.repository.refuse_mount_point()
    folder = next(path for path in [settings.models_dir, *settings.models_dir.parents] if path.is_dir())
    return f"{shutil.disk_usage(folder).free / _GB:.1f} GB free in {folder}"


def _embedded(project: Project) -> str:
    return str(find_installation().executable)


def _compose(project: Project) -> str:
    docker = Docker(project.settings.project)
    engine = docker.output(["docker", "version", "--format", "{{.Server.Version}}"]).strip()
    docker.require_compose()
    return f"engine {engine}, Compose {docker.output(['docker', 'compose', 'version', '--short']).strip()}"


def _service(project: Project) -> str:
    service = Service.of(project)
    lines: list[str] = []
    settle(service, watch=lines.append)
    return "; ".join([*lines, describe(service.docker, service.definition, service.token)])


def _server(project: Project) -> str:
    settings = project.settings
    with project.connect() as client:
        rows = client.index()
    if settings.triton_token:
        require_closed_grpc(settings.triton_url)
    return f"{sum(row.state == 'READY' for row in rows)} versions READY at {settings.triton_url}"


def _ssh(project: Project) -> str:
    missing = [tool for tool in ("ssh", "rsync") if not shutil.which(tool)]
    if missing:
        raise TritonOpsError(f"{' and '.join(missing)} not found", hint="sudo apt install openssh-client rsync")
    return f"ssh and rsync are here; settings in {project.settings.ssh_config or Path('~/.ssh/config')}"


_CHECKS: Mapping[str, Callable[[Project], str]] = {
    "models.toml": _catalogue,
    "models.lock": _lock,
    "disk": _disk,
    "embedded Triton": _embedded,
    "Docker Compose": _compose,
    "Compose service": _service,
    "a running Triton": _server,
    "GPU servers": _ssh,
}
