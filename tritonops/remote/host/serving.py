"""Update a running Triton after models were changed on disk."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from tritonops.errors import PartialFailureError, ServerDiedError, TritonOpsError
from tritonops.models.disk.repository import Repository
from tritonops.remote.layout.callbacks import OnStep
from tritonops.remote.layout.triton_state import ready_versions
from tritonops.triton.client.client import TritonClient
from tritonops.triton.dependents import ensemble_steps, ensembles
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.list import list_models
from tritonops.triton.load import load_model
from tritonops.triton.smoke import find_smoke_tests, raise_if_failed, run_smoke_tests
from tritonops.triton.unload import unload_model


def update_server(
    client: TritonClient,
    disk: ServedFolder,
    changed: Collection[str],
    *,
    optional: Collection[str] = (),
    proved: Collection[str],
    on_step: OnStep,
) -> None:
    """Load changed models and those that are not served, then unload those that are no longer on disk.

    Changed models are always reloaded. Of the others, those that are not `proved` to be what Triton loaded are compared
    with the load records. Loads run before unloads. A model of `optional` may fail. Raises PartialFailureError with
    Triton's reasons, after trying all, or ServerDiedError at once.
    """
    enabled = Repository(disk.models_dir).enabled_names()
    before = _names(ready_versions(client))
    failures: dict[str, str] = {}
    for name in enabled:
        if name in changed or name not in before:
            on_step(f"load {name}")
            disk.discard(name)
        if name in changed or name not in before or name not in proved:
            _attempt(failures, name, lambda name=name: load_model(client, name, disk=disk))  # type: ignore[misc]
    for name in _users_first(client, disk, before - set(enabled)):
        on_step(f"unload {name}")
        _attempt(failures, name, lambda name=name: unload_model(client, name, disk=disk))  # type: ignore[misc]
    found = ready_versions(client)
    for name in sorted({*enabled} - _names(found) - failures.keys()):
        failures[name] = "not READY in the end: is a model that it needs no longer served?"
    for name in failures.keys() & {*optional}:
        on_step(f"warning: {name}, which is not in models.toml, is not served: {failures.pop(name).splitlines()[0]}")
    if failures:
        raise PartialFailureError("Triton does not serve what is on disk", failures)


def _users_first(client: TritonClient, disk: ServedFolder, names: Collection[str]) -> list[str]:
    """Order models so that an ensemble is unloaded before its component models."""
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


def smoke_test(client: TritonClient, config_dir: Path, names: Collection[str], *, on_step: OnStep) -> None:
    """Run the smoke tests of these models. Raises PartialFailureError."""
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
