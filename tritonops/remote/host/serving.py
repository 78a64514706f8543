"""Make a running Triton serve what is on disk, after some of its models were changed there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from tritonops.errors import PartialFailureError, ServerDiedError, TritonOpsError
from tritonops.models.disk.repository import Repository
from tritonops.remote.layout.triton_state import served
from tritonops.triton.client.client import TritonClient
from tritonops.triton.dependents import ensemble_steps, ensembles
from tritonops.triton.list import list_models
from tritonops.triton.load import load_model
from tritonops.triton.served_folder import ServedFolder
from tritonops.triton.smoke import find_smoke_tests, raise_if_failed, run_smoke_tests
from tritonops.triton.unload import unload_model


def serve(
    client: TritonClient,
    disk: ServedFolder,
    changed: Collection[str],
    *,
    optional: Collection[str] = (),
    proved: Collection[str],
    on_step: Callable[[str], None],
) -> None:
    """RecordedLoad what changed, and what is not served; then unload what is no longer there.

    What changed is loaded whatever Triton, or a note of an earlier load, says. Of the rest, what is not `proved` to be
    what Triton loaded is compared with the notes. New things are up before old ones go. Raises PartialFailureError with
    Triton's reasons, after trying all, or ServerDiedError at once; where one of `optional` is not served, that is only
    reported.
    """
    wanted = Repository(disk.models_dir).enabled_names()
    before = _names(served(client))
    failures: dict[str, str] = {}
    for name in wanted:
        if name in changed or name not in before:
            on_step(f"load {name}")
            disk.discard(name)
        if name in changed or name not in before or name not in proved:
            _attempt(failures, name, lambda name=name: load_model(client, name, disk=disk))  # type: ignore[misc]
    for name in _users_first(client, disk, before - set(wanted)):
        on_step(f"unload {name}")
        _attempt(failures, name, lambda name=name: unload_model(client, name, disk=disk))  # type: ignore[misc]
    found = served(client)
    for name in sorted({*wanted} - _names(found) - failures.keys()):
        failures[name] = "not READY in the end: does a model that it needs no longer serve?"
    for name in failures.keys() & {*optional}:
        on_step(f"warning: {name}, which is not in models.toml, is not served: {failures.pop(name).splitlines()[0]}")
    if failures:
        raise PartialFailureError("Triton does not serve what is on disk", failures)


def _users_first(client: TritonClient, disk: ServedFolder, names: Collection[str]) -> list[str]:
    """Order models so that an ensemble is unloaded before the models that it consists of."""
    users = ensembles(client, disk, list_models(client)) if len(names) > 1 else {}
    ordered: list[str] = []

    def add(name: str) -> None:
        for user, config in users.items():
            if user in names and user not in ordered and name in ensemble_steps(config):
                add(user)
        if name not in ordered:
            ordered.append(name)

    for name in sorted(names):
        add(name)
    return ordered


def smoke(client: TritonClient, config_dir: Path, names: Collection[str], *, on_step: Callable[[str], None]) -> None:
    """Ask each of the models that has a smoke test, and compare what it answers. Raises PartialFailureError."""
    tests = {name: path for name, path in find_smoke_tests(config_dir).items() if name in names}
    if tests:
        on_step(f"smoke tests of {', '.join(tests)}")
        raise_if_failed(run_smoke_tests(client, tests))


def _names(rows: tuple[tuple[str, int], ...]) -> set[str]:
    return {name for name, _ in rows}


def _attempt(failures: dict[str, str], name: str, change: Callable[[], object]) -> None:
    try:
        change()
    except ServerDiedError:
        raise
    except TritonOpsError as exc:
        failures[name] = str(exc)
