"""The same work on many hosts at once, every result kept."""

from __future__ import annotations

import errno
import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from tritonops.errors import (
    HostLockedError,
    NotRolledBackError,
    PartialFailureError,
    ResultUnknownError,
    RolledBackError,
    TritonOpsError,
    UnknownHostNameError,
    UnprovenError,
    UnreachableError,
)
from tritonops.remote.layout.callbacks import OnStep
from tritonops.remote.ssh.host import Host
from tritonops.remote.ssh.login_slots import LOGINS_AT_ONCE
from tritonops.settings import Settings

_T = TypeVar("_T")
_FAILURES: dict[type[TritonOpsError], str] = {
    UnreachableError: "unreachable",
    HostLockedError: "locked",
    RolledBackError: "rolled back",
    NotRolledBackError: "not rolled back",
    ResultUnknownError: "unknown",
    UnprovenError: "unproven",
}
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)
_BEGIN_TIMEOUT = 1.0
"""Seconds for which the start of a login is waited for."""
Work = Callable[[Host, OnStep], _T]
OnHostStep = Callable[[str, str], None]
"""Given the host's name and a line for each step."""


@dataclass(frozen=True)
class HostResult(Generic[_T]):
    """The result of the work on one host: a value or an error."""

    host: str
    value: _T | None
    error: TritonOpsError | None = None

    @property
    def failure(self) -> str | None:
        """One word for the error, "failed" where _FAILURES has none."""
        if self.error is None:
            return None
        return next((word for kind, word in _FAILURES.items() if isinstance(self.error, kind)), "failed")


def run_on_hosts(
    names: Sequence[str],
    work: Work[_T],
    *,
    at_once: int,
    settings: Settings,
    on_step: OnHostStep,
    canary: bool = False,
    prepare: Callable[[], object] = lambda: None,
) -> list[HostResult[_T]]:
    """Run `work` on so many hosts at once; with `canary` on the first alone, and on the rest if it succeeded.

    `prepare` runs in this thread during the logins; no work begins before it has returned, and its errors are raised.
    An interruption closes the connections and is raised; a host that is switching finishes by itself.
    """
    run = functools.partial(_run_at_once, at_once=at_once, settings=settings, on_step=on_step)
    if not canary or len(names) < 2:
        return run(names, work, prepare=prepare)
    first = run(names[:1], work, prepare=prepare)
    if first[0].error:
        skipped = TritonOpsError(f"skipped: the canary {names[0]} failed")
        return [*first, *(HostResult[_T](name, None, skipped) for name in names[1:])]
    return [*first, *run(names[1:], work, prepare=lambda: None)]


class _Connections:
    """The connections of all hosts. Their work waits until it may begin, and never begins after an abort."""

    def __init__(self) -> None:
        self._hosts: list[Host] = []
        self._may_begin, self._is_aborted = threading.Event(), threading.Event()

    def log_in(self, host: Host, *, on_begun: Callable[[], object]) -> None:
        """Log in, and wait until work may begin. Raises TritonOpsError after an abort."""
        self._hosts.append(host)
        self._require_not_aborted()
        host.open(on_begun=on_begun)
        self._may_begin.wait()
        self._require_not_aborted()

    def begin(self) -> None:
        """Let work begin on each host once it is logged in."""
        self._may_begin.set()

    def abort(self) -> None:
        """Close all; where nothing has begun, nothing begins."""
        self._is_aborted.set()
        self._may_begin.set()
        for host in self._hosts:
            with suppress(Exception):
                host.abort()

    def _require_not_aborted(self) -> None:
        if self._is_aborted.is_set():
            raise TritonOpsError("not begun: the command was interrupted")


def _run_at_once(
    names: Sequence[str],
    work: Work[_T],
    *,
    at_once: int,
    settings: Settings,
    on_step: OnHostStep,
    prepare: Callable[[], object],
) -> list[HostResult[_T]]:
    connections, begun = _Connections(), threading.Semaphore(0)

    def run_on(name: str) -> HostResult[_T]:
        try:
            with Host.of(name, settings) as host:
                connections.log_in(host, on_begun=begun.release)
                return HostResult(name, work(host, lambda line: on_step(name, line)))
        except TritonOpsError as exc:
            return HostResult(name, None, exc)
        except OSError as exc:
            if exc.errno not in _OUT_OF_FILES:
                raise  # such as a stdout that is full or closed, which is no failure of the host
            return HostResult(name, None, TritonOpsError(f"{name}: {exc}", hint="ulimit -n, or a lower --parallel"))
        finally:
            begun.release()

    with ThreadPoolExecutor(max_workers=min(at_once, len(names))) as pool:
        try:
            futures = [pool.submit(run_on, name) for name in names]
            # Work of this thread before the logins have begun would leave the other processors idle.
            for _ in range(min(at_once, len(names), LOGINS_AT_ONCE)):
                begun.acquire(timeout=_BEGIN_TIMEOUT)
            prepare()
            connections.begin()
            wait(futures, return_when=FIRST_EXCEPTION)
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            connections.abort()
            raise


def raise_failures(results: Sequence[HostResult[_T]], *, what: str) -> None:
    """Raise the error of the only host, or one error that names each host that failed."""
    failed = [(result, result.error) for result in results if result.error]
    if not failed:
        return
    if len(results) == 1:
        raise failed[0][1]
    if all(isinstance(error, UnreachableError) for _, error in failed) and len(failed) == len(results):
        reasons = "\n".join(f"  {error}" for _, error in failed)
        are_unknown = all(isinstance(error, UnknownHostNameError) for _, error in failed)
        kind = UnknownHostNameError if are_unknown else UnreachableError
        raise kind(f"no host can be reached:\n{reasons}", hint=failed[0][1].hint)
    failures = {result.host: _without_name(result.host, str(error)) for result, error in failed}
    raise PartialFailureError(f"{what} on {len(failed)} of {len(results)} hosts", failures, hint=failed[0][1].hint)


def _without_name(host: str, message: str) -> str:
    return message.removeprefix(f"{host}: ")
