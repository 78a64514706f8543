"""Which Triton a task is about: at TRITON_URL, at `--url`, or that of a host behind SSH."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from tasks.output.terminal import note
from tasks.shared.checkout import project
from tasks.shared.hosts import run_there
from tasks.shared.options import names, seconds
from tasks.shared.targets import selected_target
from tritonops.errors import InputError
from tritonops.settings import parse_address

if TYPE_CHECKING:
    from tritonops.triton.client.client import TritonClient
    from tritonops.triton.disk.served_folder import ServedFolder

SERVER = {
    "url": "gRPC address of the server, host:port (default: TRITON_URL).",
    "host": "Use the Triton of this host, over SSH: an alias of ssh_config, or a host name.",
    "target": "Use the Triton of a pod of this target of kubernetes.toml.",
}
TIMEOUT = {"timeout": "Timeout in seconds (default: 600)."}
_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")
_Body = Callable[..., None]


def connect(url: str | None, host: str | None, target: str | None) -> AbstractContextManager[TritonClient]:
    """Connect to the server that the options name."""
    given = [f"--{name}" for name, value in (("url", url), ("host", host), ("target", target)) if value]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)}: give one of them", hint="Each of them names a server.")
    if target:
        return _connect_to_target(target)
    if host:
        return _connect_to_host(host)
    try:
        return project().connect(parse_address(url) if url else None)
    except ValueError as exc:
        raise InputError(f"--url {url}: {exc}") from exc


@contextmanager
def _connect_to_target(name: str) -> Iterator[TritonClient]:
    from tritonops.kubernetes.cluster.endpoint import target_client

    selected = selected_target(name)
    with target_client(selected, token=project().settings.triton_token, on_choice=note) as client:
        yield client


def refuse_target(target: str | None) -> None:
    """Raise InputError for a task that changes what a server serves."""
    if target:
        raise InputError(
            f"--target {target}: pods serve one release each, with --model-control-mode=none: a change is a rollout",
            hint=f"inv kubernetes.plan --target {target}, inv kubernetes.deploy --target {target}",
        )


@contextmanager
def _connect_to_host(name: str) -> Iterator[TritonClient]:
    from tritonops.remote.client.endpoint import remote_client
    from tritonops.remote.ssh.host import Host

    with Host.of(name, project().settings) as host, remote_client(host) as client:
        yield client


def on_the_host(task: str, *, when: Callable[[Mapping[str, Any]], bool] = lambda options: True) -> Callable[..., _Body]:
    """Run a task on the host itself where `--host` is given: one that works on the server's own disk.

    `when` is given the options, and says whether this call is such a one.
    """

    def decorate(body: _Body) -> _Body:
        @functools.wraps(body)
        def run(c: object, **options: Any) -> None:
            host = options.get("host")
            refuse_target(options.get("target"))
            if not host or not when(options):
                body(c, **options)
                return
            if options.get("url"):
                raise InputError(
                    "--url and --host: give one of them", hint="A host's own env file says where it listens."
                )
            passed = {name: value for name, value in options.items() if name not in ("model", "host", "url", "target")}
            model = options.get("model", [])
            run_there(host, task, *(names(model) if isinstance(model, list) else [model]), **passed)

        return run

    return decorate


def served_folder(client: TritonClient) -> ServedFolder | None:
    """The models directory, where the server can be the one that reads it: on this machine."""
    from tritonops.models.dependents import declared_callers
    from tritonops.models.disk.misplaced import refuse_misplaced
    from tritonops.triton.disk.served_folder import ServedFolder

    if client.url.rpartition(":")[0] not in _THIS_MACHINE:
        return None
    settings = project().settings
    refuse_misplaced(settings.models_dir)
    return ServedFolder.of(settings.models_dir, client.url, callers=declared_callers(settings.models_toml))


def own_served_folder(client: TritonClient) -> ServedFolder:
    """The models directory of a server of this machine. Raises InputError for any other server."""
    if folder := served_folder(client):
        return folder
    raise InputError(
        f"{client.url} is not on this machine, and versions are chosen in config.pbtxt on the server's own disk",
        hint="Use --host, or run it there: inv remote.run --host HOST",
    )


def timeout_of(value: str | None, default: float) -> float:
    """Read `--timeout`."""
    given = seconds("--timeout", value)
    return default if given is None else given
