"""Bring disk and server in line with models.toml, without a model missing meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tritonops.errors import (
    DependentError,
    LoadError,
    PartialFailureError,
    ServerDiedError,
    TritonOpsError,
    UnreachableError,
)
from tritonops.models.dependents import declared_callers
from tritonops.models.transfer.progress import Progress
from tritonops.project import Project
from tritonops.triton.client.client import TritonClient
from tritonops.triton.config_change import load_with_config
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.load import LOAD_TIMEOUT, load_model
from tritonops.triton.plan.load_order import in_load_order
from tritonops.triton.plan.plan import Plan, PlannedModel
from tritonops.triton.smoke import SMOKE_NAME, run_smoke_test
from tritonops.triton.smoke_after_load import affected
from tritonops.triton.unload import unload_model

DOWNLOAD = "download"
"""The word that begins the step which `progress` shows; all others follow it."""
_NOT_REMOVED = "was not taken out of service, since another model failed; to do it anyway: `inv models.disable`"


@dataclass(frozen=True)
class AppliedModel:
    """A model, and what was done to it."""

    model: str
    actions: tuple[str, ...]


@dataclass(frozen=True)
class FailedModel:
    """A model that differs from models.toml, and why."""

    model: str
    error: str


@dataclass(frozen=True)
class ApplyResult:
    """What an apply did; an unchanged model is in neither list."""

    done: tuple[AppliedModel, ...]
    failed: tuple[FailedModel, ...]
    seconds: float


def apply(
    project: Project,
    client: TritonClient,
    plan: Plan,
    *,
    timeout: float = LOAD_TIMEOUT,
    on_step: Callable[[str], None] = lambda message: None,
    progress: Progress | None = None,
) -> ApplyResult:
    """Download, write configs, load and smoke-test as planned, and unload at the end.

    `timeout` is in seconds, for each load. A model that fails does not stop the others; but if any load fails, nothing
    is unloaded. An interrupted run keeps what it has done. Raises TritonUnreachableError or ServerDiedError.
    """
    run = _ApplyRun(project, client, timeout, on_step, progress)
    started = time.monotonic()
    run.download([model for model in plan.models if model.has("download") and not model.blocked_by])
    for model in in_load_order(plan.models):
        run.load(model)
    run.smoke_test()
    for model in reversed(in_load_order(plan.models)):
        run.remove(model)
    done = tuple(AppliedModel(name, tuple(actions)) for name, actions in run.done.items() if actions)
    failed = tuple(FailedModel(name, error) for name, error in {**run.blocked, **run.failed}.items())
    return ApplyResult(done, failed, round(time.monotonic() - started, 3))


def raise_unless_applied(result: ApplyResult) -> None:
    """Raise PartialFailureError that names each model that failed."""
    if result.failed:
        failures = {failure.model: failure.error for failure in result.failed}
        what = "1 model differs" if len(failures) == 1 else f"{len(failures)} models differ"
        raise PartialFailureError(f"{what} from models.toml", failures)


@dataclass
class _ApplyRun:
    """One run, and its results so far."""

    project: Project
    client: TritonClient
    timeout: float
    on_step: Callable[[str], None]
    progress: Progress | None
    done: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    affected: dict[str, None] = field(default_factory=dict)
    """The models to smoke-test: those that were loaded, and those that use them."""

    def __post_init__(self) -> None:
        callers = declared_callers(self.project.settings.models_toml)
        self.disk = ServedFolder.of(self.project.settings.models_dir, self.client.url, callers=callers)
        self.repository = self.project.repository

    def download(self, models: Sequence[PlannedModel]) -> None:
        """Download what is missing on disk, and replace other bytes in its place."""
        if not models:
            return
        # Imported late: most runs have nothing to download.
        from tritonops.models.download import download

        names = [model.name for model in models]
        self.on_step(f"{DOWNLOAD} {', '.join(names)}")
        result = download(self.project, include=names, overwrite=True, progress=self.progress)
        for failure in result.failed:
            self.failed.setdefault(failure.model.rpartition("/")[0], failure.error)
        for label in result.downloaded:
            self._record_done(label.rpartition("/")[0], "download")

    def load(self, model: PlannedModel) -> None:
        """Write the model's config and load it, as planned."""
        if model.blocked_by:
            self.blocked[model.name] = model.blocked_by
        elif model.name in self.failed:
            return
        elif model.has("load", "config", "remove from serving"):
            self._try(model.name, lambda: self._load(model))
        elif model.is_unrecorded:
            self._try(model.name, lambda: self._check(model.name))

    def remove(self, model: PlannedModel) -> None:
        """Unload and disable as planned, unless a model failed."""
        if not model.has("unload", "disable"):
            return
        if self.failed:
            self.failed.setdefault(model.name, _NOT_REMOVED)
            return
        self._try(model.name, lambda: self._remove(model))

    def _load(self, model: PlannedModel) -> None:
        self.on_step(f"load {model.name}")
        if model.config is not None:
            result = load_with_config(
                self.client,
                model.name,
                model.config,
                disk=self.disk,
                timeout=self.timeout,
                expected=model.config_on_disk,
            )
            self._record_done(model.name, "config")
        else:
            result = load_model(self.client, model.name, disk=self.disk, timeout=self.timeout)
        for name in (model.name, *result.steps):
            self._record_done(name, "load")
        self.affected |= dict.fromkeys(affected(result))

    def _check(self, name: str) -> None:
        """Let Triton load what is newer than what it serves, and record what it serves then."""
        load_model(self.client, name, disk=self.disk, timeout=self.timeout, skip_touch=True)

    def smoke_test(self) -> None:
        """Test what was loaded, and the models that use it, once all steps of an ensemble are new."""
        paths = {name: self.project.settings.config_dir / name / SMOKE_NAME for name in self.affected}
        for name, path in paths.items():
            if path.exists():
                result = run_smoke_test(self.client, name, path)
                self._record_done(name, "smoke test")
                if result.problems:
                    self.failed.setdefault(name, f"is loaded, but its smoke test failed: {'; '.join(result.problems)}")

    def _remove(self, model: PlannedModel) -> None:
        if model.has("unload"):
            self.on_step(f"unload {model.name}")
            unload_model(self.client, model.name, disk=self.disk, timeout=self.timeout)
            self._record_done(model.name, "unload")
        if model.has("disable"):
            self.repository.disable(model.name)
            self._record_done(model.name, "disable")

    def _try(self, name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except (UnreachableError, ServerDiedError):
            raise
        except TritonOpsError as exc:
            reason = str(exc).removeprefix(f"{name}: ")
            hint = exc.hint if isinstance(exc, LoadError | DependentError) else None
            self.failed[name] = f"{reason}. {hint}" if hint else reason

    def _record_done(self, name: str, action: str) -> None:
        actions = self.done.setdefault(name, [])
        if action not in actions:
            actions.append(action)
