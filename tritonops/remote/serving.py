"""Make a running Triton serve what is on disk, after some of its models were changed there."""

from __future__ import annotations

from collections.abc import Callable, Collection

from tritonops.errors import PartialFailureError, ServerDiedError, TritonOpsError, TritonUnreachableError
from tritonops.models.repository import Repository
from tritonops.triton import control
from tritonops.triton.client import TritonClient
from tritonops.triton.dependents import ensemble_steps
from tritonops.triton.disk import Disk


def serve(
    client: TritonClient, disk: Disk, changed: Collection[str], *, report: Callable[[str], None]
) -> tuple[tuple[str, int], ...]:
    """Load what changed or is not served, then unload what is no longer there; return what is served now.

    New things are up before old ones go. Raises PartialFailureError with Triton's reasons, after trying all, or
    ServerDiedError at once.
    """
    wanted = Repository(disk.models_dir).enabled_names()
    before = _names(served(client))
    failures: dict[str, str] = {}
    for name in wanted:
        if name in changed or name not in before:
            report(f"load {name}")
            _attempt(failures, name, lambda name=name: control.load(client, name, disk=disk))  # type: ignore[misc]
    for name in sorted(before - set(wanted)):
        report(f"unload {name}")
        _attempt(failures, name, lambda name=name: control.unload(client, name, disk=disk))  # type: ignore[misc]
    if failures:
        raise PartialFailureError("Triton does not serve what is on disk", failures)
    return served(client)


def served(client: TritonClient) -> tuple[tuple[str, int], ...]:
    """List the model versions that are ready, also those whose folder has gone."""
    rows = control.list_models(client)
    return tuple((row.name, row.version) for row in rows if row.state == "READY" and row.version is not None)


def ensembles_in_service(client: TritonClient) -> list[str]:
    """Name the ensembles that are ready; none where no server answers."""
    try:
        return sorted(name for name in _names(served(client)) if ensemble_steps(client.config(name)))
    except TritonUnreachableError:
        return []


def _names(rows: tuple[tuple[str, int], ...]) -> set[str]:
    return {name for name, _ in rows}


def _attempt(failures: dict[str, str], name: str, change: Callable[[], object]) -> None:
    try:
        change()
    except ServerDiedError:
        raise
    except TritonOpsError as exc:
        failures[name] = str(exc)
