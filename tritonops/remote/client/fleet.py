"""The same work on many hosts at once, every result kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tritonops.errors import (
    HostLockedError,
    NotRolledBackError,
    PartialFailureError,
    ResultUnknownError,
    RolledBackError,
    TritonOpsError,
    UnprovenError,
    UnreachableError,
)
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.ssh.host import Host

_T = TypeVar("_T")
_FAILURES: dict[type[TritonOpsError], str] = {
    UnreachableError: "unreachable",
    HostLockedError: "locked",
    RolledBackError: "rolled back",
    NotRolledBackError: "not rolled back",
    ResultUnknownError: "unknown",
    UnprovenError: "unproven",
}
Work = Callable[[Host, HostSettings, Callable[[str], None]], _T]
OnStep = Callable[[str, str], None]
"""Given the host's name and a line."""


@dataclass(frozen=True)
class HostResult(Generic[_T]):
    """What became of one host: either a result or an error."""

    host: str
    result: _T | None
    error: TritonOpsError | None = None

    @property
    def failure(self) -> str | None:
        """One word for the error, "failed" where _FAILURES has none."""
        if self.error is None:
            return None
        return next((word for kind, word in _FAILURES.items() if isinstance(self.error, kind)), "failed")


def run_on_hosts(
    hosts: Sequence[HostSettings],
    work: Work[_T],
    *,
    ssh_config: Path | None,
    on_step: OnStep,
    canary: bool = False,
    before: Callable[[], object] = lambda: None,
) -> list[HostResult[_T]]:
    """Do `work` on all hosts in parallel; with `canary` on the first alone, and on the rest only if it succeeded.

    `before` is called in this thread while the hosts are being logged in to; no work begins before it has returned,
    and what it raises is raised. An interruption closes the connections and is raised; a host that was switching goes
    on by itself.
    """
    if canary and len(hosts) > 1:
        first = run_on_hosts(hosts[:1], work, ssh_config=ssh_config, on_step=on_step, before=before)
        if first[0].error:
            skipped = TritonOpsError(f"not touched: {hosts[0].name}, the canary, failed")
            return [*first, *(HostResult[_T](host.name, None, skipped) for host in hosts[1:])]
        return [*first, *run_on_hosts(hosts[1:], work, ssh_config=ssh_config, on_step=on_step)]
    import fabric  # noqa: F401 - once, before the threads that need it: imports that race fail now and then

    connections: list[Host] = []
    is_prepared = threading.Event()

    def one(settings: HostSettings) -> HostResult[_T]:
        try:
            host = Host(settings.name, ssh_config=ssh_config)
            connections.append(host)
            with host:
                host.open()
                is_prepared.wait()
                host.open()  # raises where the others were aborted meanwhile
                return HostResult(settings.name, work(host, settings, lambda line: on_step(settings.name, line)))
        except TritonOpsError as exc:
            return HostResult(settings.name, None, exc)

    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        futures = [pool.submit(one, settings) for settings in hosts]
        try:
            before()
            is_prepared.set()
            wait(futures, return_when=FIRST_EXCEPTION)
            return [future.result() for future in futures]
        except BaseException:
            _abort(connections)
            raise
        finally:
            is_prepared.set()


def _abort(connections: list[Host]) -> None:
    for host in connections:
        with suppress(Exception):
            host.abort()


def raise_failures(results: Sequence[HostResult[_T]], *, what: str) -> None:
    """Raise what the results amount to: nothing, the one host's own error, or an error that names each that failed."""
    failed = [(result, result.error) for result in results if result.error]
    if not failed:
        return
    if len(results) == 1:
        raise failed[0][1]
    if all(isinstance(error, UnreachableError) for _, error in failed) and len(failed) == len(results):
        reasons = "\n".join(f"  {error}" for _, error in failed)
        raise UnreachableError(f"no host can be reached:\n{reasons}", hint=failed[0][1].hint)
    failures = {result.host: _without_name(result.host, str(error)) for result, error in failed}
    raise PartialFailureError(f"{what} on {len(failed)} of {len(results)} hosts", failures, hint=failed[0][1].hint)


def _without_name(host: str, message: str) -> str:
    return message.removeprefix(f"{host}: ")
