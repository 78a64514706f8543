"""Load a model: done when the server is seen to serve what is on disk, not when the call returns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tritonops.errors import InputError, LoadError, NotAsOnDiskError, TritonError
from tritonops.models.disk.repository import Repository
from tritonops.models.rules.hazards import load_hazard
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient
from tritonops.triton.client.waiting import Deadline, wait_until_settled
from tritonops.triton.dependents import dependents_of, ensemble_steps, refuse_broken, users_in_service
from tritonops.triton.disk.comparison import (
    changed_versions,
    config_diff,
    override_diff,
    ready,
    save_record,
    stale_reason,
    version_mismatch,
)
from tritonops.triton.disk.served_folder import ModelOnDisk, ServedFolder
from tritonops.triton.disk.touch import touch
from tritonops.triton.list import ORPHAN, Rows, list_models, rows_of_known
from tritonops.triton.load_reasons import unserved_reason
from tritonops.triton.load_request import refuse_stuck, request_load
from tritonops.triton.startup.exclude_file import ExcludeFile

if TYPE_CHECKING:
    from tritonops.triton.smoke import SmokeResult

LOAD_TIMEOUT = 600.0
Verdict = Literal["loaded", "current", "unloaded", "not loaded"]


@dataclass(frozen=True)
class LoadResult:
    """What happened to a model: `loaded`, `current` (nothing to do), `unloaded`, or `not loaded` before the unload."""

    model: str
    verdict: Verdict
    versions: Rows
    steps: tuple[str, ...] = ()
    """The component models that were loaded with an ensemble, because they were outdated."""
    dependents: tuple[str, ...] = ()
    """The models in service that use what was loaded, verified to be in service still."""
    smoke_tests: tuple[SmokeResult, ...] = ()


def load_model(
    client: TritonClient,
    name: str,
    *,
    disk: ServedFolder | None = None,
    timeout: float = LOAD_TIMEOUT,
    skip_touch: bool = False,
) -> LoadResult:
    """Load a model as it is on disk; without `disk`, as the server sees it.

    Nothing is sent for a model whose record says that the server loaded just these files. A model without a record is
    touched first, so that Triton loads it again; with `skip_touch`, Triton decides by the files' times. Outdated steps
    of an ensemble are loaded before it. A load in progress is waited for. Versions that go out of service may still
    answer their last requests. Raises LoadError with Triton's reason, DependentError, NotAsOnDiskError,
    ServerDiedError, UnknownModelError or TritonTimeoutError.
    """
    deadline = Deadline.after(timeout)
    model = disk.read(name) if disk else None
    if disk is None or model is None:
        return _load_unseen(client, name, disk, deadline)
    if reason := load_hazard(disk.models_dir, name):
        raise LoadError(f"{name}: not loaded: {reason}", hint="Fix the model; nothing was sent to the server.")
    before = list_models(client)
    users = users_in_service(client, disk, before)
    loader = _Loader(client, disk, deadline, before, skip_touch=skip_touch)
    loaded = [each.name for each in _with_steps(disk, model) if loader.load_step(each, name)]
    dependents = _require_dependents(client, {name, *loaded}, users, loader.index, deadline) if loaded else ()
    # An ensemble that had lost a step returns to service with that step's load.
    is_loaded = name in loaded or not any(row.name == name and row.state == "READY" for row in before)
    return LoadResult(
        name,
        "loaded" if is_loaded else "current",
        loader.settled_rows(name),
        tuple(step for step in loaded if step != name),
        dependents,
    )


def _load_unseen(client: TritonClient, name: str, disk: ServedFolder | None, deadline: Deadline) -> LoadResult:
    """Load a model whose files are out of reach, and see afterwards what that took out of service."""
    before = list_models(client)
    rows = rows_of_known(client, name, before)
    refuse_disabled(disk, name)
    users = users_in_service(client, disk, before)
    _wait_for_load(client, name, rows, deadline, disk)
    request_load(client, name, disk, None, deadline)
    index = client.index()
    dependents = _require_dependents(client, {name}, users, index, deadline)
    rows = _wait_for_load(client, name, _rows_of(name, index), deadline, disk)
    return LoadResult(name, "loaded", rows, dependents=dependents)


def _with_steps(disk: ServedFolder, model: ModelOnDisk) -> list[ModelOnDisk]:
    """List an ensemble's component models, those of its nested ensembles, and the model itself last.

    Raises LoadError for a missing step: Triton gives that reason only in its log, and only once.
    """
    repository, found = Repository(disk.models_dir), dict[str, ModelOnDisk]()

    def add(each: ModelOnDisk, above: tuple[str, ...]) -> None:
        for step in ensemble_steps(each.config) if each.config is not None else ():
            if step in (*above, each.name):
                continue  # a circle, which Triton refuses with that reason
            if step in repository.disabled_names():
                raise LoadError(f"{model.name}: its step {step} is disabled", hint=f"Try: inv models.enable {step}")
            below = disk.read(step)
            if below is None:
                hint = f"Try: inv models.download --include {step}"
                raise LoadError(f"{model.name}: its step {step} is not in {disk.models_dir}", hint=hint)
            add(below, (*above, each.name))
        found.setdefault(each.name, each)

    add(model, ())
    return list(found.values())


def refuse_disabled(disk: ServedFolder | None, name: str) -> None:
    """Raise InputError for a disabled model, which may still be served."""
    if disk and name in Repository(disk.models_dir).disabled_names():
        raise InputError(f"{name}: it is disabled", hint=f"Try: inv models.enable {name}")


@dataclass
class _Loader:
    """Loads models one after the other; each sees the index that was read after the load before it."""

    client: TritonClient
    disk: ServedFolder
    deadline: Deadline
    before: list[ModelStatus]
    """The models, before any load."""
    skip_touch: bool

    def __post_init__(self) -> None:
        self.index = self.before

    def load_step(self, model: ModelOnDisk, requested: str) -> bool:
        """Load the requested model, or a step of it; whether that was necessary.

        Each step gets a load of its own: Triton reports no failure of a step that an ensemble's load takes along.
        """
        try:
            return self._load(model)
        except LoadError as exc:
            if model.name == requested:
                raise
            raise LoadError(f"{requested}: its step {exc}", hint=exc.hint) from exc

    def settled_rows(self, name: str) -> Rows:
        """Give the rows of a model once no version of it is LOADING. Raises LoadError for a load that never ends."""
        return _wait_for_load(self.client, name, _rows_of(name, self.index), self.deadline, self.disk)

    def _load(self, model: ModelOnDisk) -> bool:
        """Load a model that is not served as on disk, verify it, and record what is served."""
        client, disk, record = self.client, self.disk, self.disk.record(model.name)
        rows = self.settled_rows(model.name)
        if record and stale_reason(client, rows, model, record) is None:
            _require_ready(client, model)
            return False
        refuse_broken(client, disk, model, self.before)
        served = ready(rows)
        if served and (
            changed_versions(model, record) or override_diff(client, model, record) if record else not self.skip_touch
        ):
            touch(model, record)
        if record:  # Invalidate the record until the load is verified.
            disk.save(model.name, replace(record, files={}))
        error = self._load_and_compare(model)
        if error and served:
            # Triton answered OK and did nothing: to Triton, the files are no newer than those that it has loaded.
            touch(model, record)
            error = self._load_and_compare(model)
        if error:
            raise error
        _require_ready(client, model)
        save_record(client, disk, model)
        ExcludeFile(disk.models_dir).discard(model.name)
        return True

    def _load_and_compare(self, model: ModelOnDisk) -> TritonError | None:
        """Load, and return the error of a load that Triton calls done without serving what is on disk."""
        request_load(self.client, model.name, self.disk, model, self.deadline)
        self.index = self.client.index()
        rows = _wait_for_load(self.client, model.name, _rows_of(model.name, self.index), self.deadline)
        if reason := unserved_reason(rows, model, self.disk):
            return LoadError(f"{model.name}: {reason}")
        if difference := version_mismatch(rows, model) or config_diff(self.client, model):
            return NotAsOnDiskError(
                f"{model.name}: Triton at {self.client.url} calls it loaded, but serves something else than "
                f"{model.folder}: {difference}",
                hint="Does the server read this very folder? TRITON_MODELS_DIR says which one it should be.",
            )
        return None


def _require_ready(client: TritonClient, model: ModelOnDisk) -> None:
    """Raise LoadError for a loaded version whose own readiness check fails."""
    if unready := [version for version in model.served if not client.is_model_ready(model.name, version)]:
        raise LoadError(
            f"{model.name}: version {', '.join(map(str, unready))} is loaded, and says itself that it is not ready",
            hint="The model's own readiness check decides that; Triton's log may say more.",
        )


def _require_dependents(
    client: TritonClient,
    changed: set[str],
    users: Mapping[str, set[str]],
    index: Iterable[ModelStatus],
    deadline: Deadline,
) -> tuple[str, ...]:
    """Name the models that use the changed ones, of those that were in service before; `index` is from after the load.

    Raises LoadError for one that went out of service, and that a load does not return to service.
    """
    dependents = dependents_of(changed, users)
    if not _not_ready(dependents, index) or not (lost := _not_ready(dependents, list_models(client))):
        return dependents
    for dependent in lost:
        with suppress(TritonError):
            client.load(dependent, timeout=deadline.left)
    if lost := _not_ready(dependents, list_models(client)):
        raise LoadError(
            f"{', '.join(sorted(changed))} is loaded, but took {', '.join(lost)} out of service",
            hint=f"To see why: inv triton.load {lost[0]}",
        )
    return dependents


def _not_ready(names: Collection[str], rows: Iterable[ModelStatus]) -> list[str]:
    return sorted({*names} - {row.name for row in rows if row.state == "READY"})


def _rows_of(name: str, index: Iterable[ModelStatus]) -> Rows:
    """Give the rows that the index has of a model; one that is served without a folder is not in it."""
    return tuple(row for row in index if row.name == name and row.reason != ORPHAN)


def _wait_for_load(
    client: TritonClient, name: str, rows: Rows, deadline: Deadline, disk: ServedFolder | None = None
) -> Rows:
    """Wait until no version is LOADING. Raises LoadError for a load that never ends."""
    if not any(row.state == "LOADING" for row in rows):
        return rows
    refuse_stuck(disk, name, rows)
    return wait_until_settled(client, name, deadline, states=("LOADING",))
