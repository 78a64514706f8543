"""Load and unload: a change is done when the server is seen to serve what the disk holds, not when a call returns."""

from __future__ import annotations

import queue
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from types import EllipsisType
from typing import TYPE_CHECKING

from tritonops.errors import (
    InputError,
    LoadError,
    NotAsOnDiskError,
    RepositoryError,
    TokenRefusedError,
    TritonError,
    TritonTimeoutError,
    TritonUnreachableError,
)
from tritonops.models.disk.repository import CONFIG_NAME, Repository
from tritonops.models.rules.hazards import load_hazard
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient
from tritonops.triton.client.waiting import Deadline, wait_until_settled
from tritonops.triton.comparison import (
    changed_versions,
    config_diff,
    override_diff,
    ready,
    save_record,
    stale_reason,
    version_mismatch,
)
from tritonops.triton.dependents import dependents_of, ensemble_steps, refuse_broken, users_in_service
from tritonops.triton.list import Rows, list_models, require_known
from tritonops.triton.load_reasons import load_error, server_died, unserved_reason
from tritonops.triton.load_result import LoadResult, Verdict
from tritonops.triton.served_folder import ModelOnDisk, ServedFolder, touch
from tritonops.triton.startup.exclude_file import ExcludeFile
from tritonops.triton.startup.load_call import LoadCall
from tritonops.triton.startup.load_log import RESTART_HINT, stuck_loads

if TYPE_CHECKING:
    pass


LOAD_TIMEOUT = 600.0
_SERVED = ("READY", "LOADING", "UNLOADING")
_POLL = 0.05


def load_model(
    client: TritonClient,
    name: str,
    *,
    disk: ServedFolder | None = None,
    timeout: float = LOAD_TIMEOUT,
    skip_touch: bool = False,
) -> LoadResult:
    """Have a model served as it is on disk; where no `disk` is at hand, as the server sees it.

    Nothing is sent where the server was seen to serve just these files. Where nobody noted which ones it serves, it is
    made to load them; with `trust`, it may judge by their times whether it has them. Steps of an ensemble that are not
    served as they are on disk are loaded before it. A load that somebody else began is waited for; versions that this
    one takes out of service may be answering their last requests when it returns. Raises LoadError with Triton's
    reason, DependentError, NotAsOnDiskError, ServerDiedError, UnknownModelError or TritonTimeoutError.
    """
    deadline = Deadline.after(timeout)
    model = disk.read(name) if disk else None
    if model is None:  # A model whose load failed may be in the index no longer, until its folder is looked at again.
        require_known(client, name)
        refuse_disabled(disk, name)
    if disk is None or model is None:
        return _load_unseen(client, name, disk, deadline)
    _refuse_hazard(disk, name)
    before = list_models(client)
    users = users_in_service(client, disk, before)
    loaded = [
        each.name
        for each in _with_steps(disk, model)
        if _load_step(client, disk, each, name, before, deadline, skip_touch=skip_touch)
    ]
    dependents = _require_dependents(client, {name, *loaded}, users, deadline) if loaded else ()
    steps = tuple(step for step in loaded if step != name)
    # An ensemble that had lost a step comes back with that step's load.
    is_loaded = name in loaded or not any(row.name == name and row.state == "READY" for row in before)
    verdict: Verdict = "loaded" if is_loaded else "current"
    return LoadResult(name, verdict, _settled(client, name, deadline, disk), steps, dependents)


def _load_unseen(client: TritonClient, name: str, disk: ServedFolder | None, deadline: Deadline) -> LoadResult:
    """Load a model whose files are out of reach: nobody can say before what it changes, but what it took along."""
    users = users_in_service(client, disk, list_models(client))
    _settled(client, name, deadline, disk)
    _load(client, name, disk, None, deadline)
    dependents = _require_dependents(client, {name}, users, deadline)
    return LoadResult(name, "loaded", _settled(client, name, deadline, disk), dependents=dependents)


def load_with_config(
    client: TritonClient,
    name: str,
    text: str,
    *,
    disk: ServedFolder,
    timeout: float = LOAD_TIMEOUT,
    expected: str | EllipsisType | None = ...,
    keeps_text: bool = False,
) -> LoadResult:
    """Write config.pbtxt and load. Where the load fails, or is interrupted, the earlier config is restored.

    `expected` is the config that `text` was made from, None for none: raises RepositoryError where another one stands
    there by now. A config that somebody else has written since is never overwritten. `keeps_text` says that nothing
    that a person wrote is lost.
    """
    repository, before = Repository(disk.models_dir), disk.read(name)
    if before and before.text == text:
        return load_model(client, name, disk=disk, timeout=timeout)
    was_ours = repository.is_written(name, CONFIG_NAME)
    before_text = before.text if before and before.unreadable is None else ...
    expected = before_text if expected is ... else expected
    repository.write_config(name, text, expected=expected, keeps_text=keeps_text)
    try:
        return load_model(client, name, disk=disk, timeout=timeout)
    except BaseException as exc:
        is_back = before and before.text is not None and _put_back(repository, before, written=text, was_ours=was_ours)
        if is_back and isinstance(exc, LoadError | NotAsOnDiskError):
            # What that load changed before it failed goes back too, if it can.
            with suppress(TritonError):
                load_model(client, name, disk=disk, timeout=timeout)
        raise


def _put_back(repository: Repository, before: ModelOnDisk, *, written: str, was_ours: bool) -> bool:
    """Whether the config could go back: it could not where somebody else has written another one since."""
    try:
        repository.write_config(before.name, before.text or "", expected=written, is_ours=was_ours)
    except RepositoryError:
        return False
    return True


def _with_steps(disk: ServedFolder, model: ModelOnDisk) -> list[ModelOnDisk]:
    """Give the models of which an ensemble consists, and those of which they do, and at the end itself.

    Raises LoadError for a step that Triton would not find; it gives that reason in its log alone, and once.
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
    """Raise InputError for a model that is hidden from Triton; it may be served still."""
    if disk and name in Repository(disk.models_dir).disabled_names():
        raise InputError(f"{name}: it is disabled", hint=f"Try: inv models.enable {name}")


def _load_step(
    client: TritonClient,
    disk: ServedFolder,
    model: ModelOnDisk,
    asked: str,
    before: list[ModelStatus],
    deadline: Deadline,
    *,
    skip_touch: bool,
) -> bool:
    """Load the model that was asked for, or a step of it, by a call of its own.

    A step that comes with its ensemble's call, and fails while an older one of it is served, is no error to Triton.
    """
    try:
        return _load_from_disk(client, disk, model, before, deadline, skip_touch=skip_touch)
    except LoadError as exc:
        if model.name == asked:
            raise
        raise LoadError(f"{asked}: its step {exc}", hint=exc.hint) from exc


def _load_from_disk(
    client: TritonClient,
    disk: ServedFolder,
    model: ModelOnDisk,
    index: list[ModelStatus],
    deadline: Deadline,
    *,
    skip_touch: bool,
) -> bool:
    """Load a model, and note what is served once it was found to be as on disk; False where it was so already."""
    rows, note = _settled(client, model.name, deadline, disk), disk.record(model.name)
    if note and stale_reason(client, rows, model, note) is None:
        _require_ready(client, model)
        return False
    refuse_broken(client, disk, model, index)
    before = ready(rows)
    if before and (changed_versions(model, note) or override_diff(client, model, note) if note else not skip_touch):
        touch(model, note)
    if note:  # What it says holds no longer, or not until the load has been verified.
        disk.save(model.name, replace(note, files={}))
    _load(client, model.name, disk, model, deadline)
    error = _not_as_on_disk(client, disk, model, deadline)
    if error and before:
        # Triton called it done and did nothing: to it, the files are not newer than those that it has loaded.
        touch(model, note)
        _load(client, model.name, disk, model, deadline)
        error = _not_as_on_disk(client, disk, model, deadline)
    if error:
        raise error
    _require_ready(client, model)
    save_record(client, disk, model)
    ExcludeFile(disk.models_dir).discard(model.name)
    return True


def _not_as_on_disk(
    client: TritonClient, disk: ServedFolder, model: ModelOnDisk, deadline: Deadline
) -> TritonError | None:
    """Give the error of a load that Triton calls done, where it does not serve what the disk holds."""
    rows = _settled(client, model.name, deadline)
    if reason := unserved_reason(rows, model, disk):
        return LoadError(f"{model.name}: {reason}")
    if problem := version_mismatch(rows, model) or config_diff(client, model):
        return NotAsOnDiskError(
            f"{model.name}: Triton at {client.url} calls it loaded, but serves something else than {model.folder}: "
            f"{problem}",
            hint="Does the server read this very folder? TRITON_MODELS_DIR says which one it should be.",
        )
    return None


def _require_ready(client: TritonClient, model: ModelOnDisk) -> None:
    """Raise LoadError where a version is loaded, and says by a check of its own that it is not ready."""
    if unready := [version for version in model.served if not client.is_model_ready(model.name, version)]:
        raise LoadError(
            f"{model.name}: version {', '.join(map(str, unready))} is loaded, and says itself that it is not ready",
            hint="The model's own readiness check decides that; Triton's log may say more.",
        )


def _require_dependents(
    client: TritonClient, changed: set[str], users: Mapping[str, set[str]], deadline: Deadline
) -> tuple[str, ...]:
    """Name the models that use the changed ones, of those that were in service before.

    Raises LoadError where the load took one out of service, and a load of that one does not bring it back.
    """
    dependents = dependents_of(changed, users)
    for dependent in _unserved(client, dependents):
        with suppress(TritonError):
            client.load(dependent, timeout=deadline.left)
    if gone := _unserved(client, dependents):
        names = ", ".join(gone)
        raise LoadError(
            f"{', '.join(sorted(changed))} is loaded, but took {names} out of service",
            hint=f"What it lacks: inv triton.load {gone[0]}",
        )
    return dependents


def _unserved(client: TritonClient, names: Collection[str]) -> list[str]:
    in_service = {row.name for row in list_models(client) if row.state == "READY"} if names else set()
    return sorted({*names} - in_service)


def _settled(client: TritonClient, name: str, deadline: Deadline, disk: ServedFolder | None = None) -> Rows:
    """Wait until no version is LOADING; not for a load that never ends: LoadError then."""
    rows = tuple(row for row in client.index() if row.name == name)
    if not any(row.state == "LOADING" for row in rows):
        return rows
    _refuse_stuck(disk, name, rows)
    return wait_until_settled(client, name, deadline, gone=("LOADING",))


def _refuse_stuck(disk: ServedFolder | None, name: str, rows: Rows) -> None:
    """Raise LoadError where the model is in a load that never ends: a load or an unload of it would hang too."""
    if disk is None or not any(row.state == "LOADING" for row in rows):
        return
    if reason := stuck_loads(disk.logged_since(0)).get(name):
        raise LoadError(f"{name}: {reason}", hint=RESTART_HINT)


def _refuse_hazard(disk: ServedFolder, name: str) -> None:
    """Raise LoadError before the call that would hang, or take the whole server down."""
    if reason := load_hazard(disk.models_dir, name):
        raise LoadError(f"{name}: not loaded: {reason}", hint="Fix the model; the server was not asked.")


def _load(
    client: TritonClient, name: str, disk: ServedFolder | None, model: ModelOnDisk | None, deadline: Deadline
) -> None:
    log_end = disk.log_end() if disk else 0
    try:
        _call(client, name, disk, log_end, deadline)
    except (TokenRefusedError, LoadError):
        raise
    except TritonTimeoutError as exc:
        raise TritonTimeoutError(
            f"{name}: Triton at {client.url} had not loaded it within {deadline.timeout:g} s",
            hint="It goes on there; look with `inv triton.list`, or give it longer with --timeout.",
        ) from exc
    except TritonUnreachableError as exc:
        raise server_died(client, name, disk, log_end) from exc
    except TritonError as exc:
        raise load_error(exc, client, name, model, disk) from exc


def _call(client: TritonClient, name: str, disk: ServedFolder | None, log_end: int, deadline: Deadline) -> None:
    """Load, and read what the log says of it meanwhile, where it is at hand: a load that never ends is not waited for.

    Raises TritonTimeoutError, LoadError, and what the call raises.
    """
    if disk is None or not disk.log.exists():
        client.load(name, timeout=deadline.left)
        return
    call = LoadCall(client, name, timeout=deadline.left)
    call.start()
    while True:
        with suppress(queue.Empty):
            call.done.get(timeout=min(_POLL, deadline.left))
            break
        if reason := stuck_loads(disk.logged_since(log_end)).get(name):
            raise LoadError(f"{name}: {reason}", hint=RESTART_HINT)
        if deadline.left <= _POLL:
            raise TritonTimeoutError(f"Triton at {client.url} did not answer within {deadline.timeout:g} s")
    if call.error:
        raise call.error
