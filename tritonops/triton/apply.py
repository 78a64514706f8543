"""Make the disk and the server what models.toml says, in the order in which nothing is missing meanwhile."""

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
from tritonops.triton.load import LOAD_TIMEOUT, load_model, load_with_config
from tritonops.triton.plan.plan import Plan, PlannedModel, in_load_order
from tritonops.triton.served_folder import ServedFolder
from tritonops.triton.smoke import SMOKE_NAME, run_smoke_test
from tritonops.triton.smoke_after_load import affected
from tritonops.triton.unload import unload_model

_NOT_REMOVED = "was left as it is, since something else failed to come up; `inv models.disable` does it all the same"


@dataclass(frozen=True)
class AppliedModel:
    """What was done to one model."""

    model: str
    actions: tuple[str, ...]


@dataclass(frozen=True)
class FailedModel:
    """A model that is not as models.toml says, and why."""

    model: str
    error: str


@dataclass(frozen=True)
class ApplyResult:
    """What came of a plan; a model that needed nothing is in neither list."""

    done: tuple[AppliedModel, ...]
    failed: tuple[FailedModel, ...]
    seconds: float


def apply(
    project: Project,
    client: TritonClient,
    plan: Plan,
    *,
    timeout: float = LOAD_TIMEOUT,
    report: Callable[[str], None] = lambda message: None,
    progress: Progress | None = None,
) -> ApplyResult:
    """Download, write configs, load and smoke-test what the plan says, and then unload what has to go.

    `timeout` is for each load; `report` is told of each step. A model that fails does not keep the others from being
    done; but where one failed to come up, none goes out of service. What was done is kept if it is interrupted, and
    the next plan goes on from there. Raises what concerns the server as a whole:
    TritonUnreachableError, or ServerDiedError.
    """
    run = _ApplyRun(project, client, timeout, report, progress)
    started = time.monotonic()
    run.download([model for model in plan.models if model.has("download")])
    for model in in_load_order(plan.models):
        run.load(model)
    run.smoke_test()
    for model in reversed(in_load_order(plan.models)):
        run.remove(model)
    done = tuple(AppliedModel(name, tuple(actions)) for name, actions in run.done.items() if actions)
    failed = tuple(FailedModel(name, error) for name, error in {**run.blocked, **run.failed}.items())
    return ApplyResult(done, failed, round(time.monotonic() - started, 3))


def raise_unless_applied(result: ApplyResult) -> None:
    """Raise PartialFailureError with what failed."""
    if result.failed:
        failures = {failure.model: failure.error for failure in result.failed}
        what = "1 model is" if len(failures) == 1 else f"{len(failures)} models are"
        raise PartialFailureError(f"{what} not as models.toml says", failures)


@dataclass
class _ApplyRun:
    """One run, and what has come of it so far."""

    project: Project
    client: TritonClient
    timeout: float
    report: Callable[[str], None]
    progress: Progress | None
    done: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    affected: dict[str, None] = field(default_factory=dict)
    """The models to ask once all are loaded: those that were, and those that use them."""

    def __post_init__(self) -> None:
        callers = declared_callers(self.project.settings.models_toml)
        self.disk = ServedFolder.of(self.project.settings.models_dir, self.client.url, callers=callers)
        self.repository = self.project.repository

    def download(self, models: Sequence[PlannedModel]) -> None:
        """Bring what is lacking to disk; other bytes in its place are replaced."""
        if not models:
            return
        # Only here: most runs have nothing to fetch, and should not wait for what fetching needs.
        from tritonops.models.download import download

        names = [model.name for model in models]
        self.report(f"download {', '.join(names)}")
        result = download(self.project, include=names, overwrite=True, progress=self.progress)
        for failure in result.failed:
            self.failed.setdefault(failure.model.rpartition("/")[0], failure.error)
        for label in result.downloaded:
            self._record_done(label.rpartition("/")[0], "download")

    def load(self, model: PlannedModel) -> None:
        """Write the model's config and load it, where the plan says so."""
        if model.problem:
            self.blocked[model.name] = model.problem
        elif model.name in self.failed:
            return
        elif model.has("load", "config", "remove from serving"):
            self._try(model.name, lambda: self._load(model))
        elif model.is_unrecorded:
            self._try(model.name, lambda: self._check(model.name))

    def remove(self, model: PlannedModel) -> None:
        """Unload and disable, where the plan says so and nothing has failed."""
        if not model.has("unload", "disable"):
            return
        if self.failed:
            self.failed.setdefault(model.name, _NOT_REMOVED)
            return
        self._try(model.name, lambda: self._remove(model))

    def _load(self, model: PlannedModel) -> None:
        self.report(f"load {model.name}")
        if model.config is not None:
            outcome = load_with_config(
                self.client,
                model.name,
                model.config,
                disk=self.disk,
                timeout=self.timeout,
                expected=model.config_on_disk,
            )
            self._record_done(model.name, "config")
        else:
            outcome = load_model(self.client, model.name, disk=self.disk, timeout=self.timeout)
        for name in (model.name, *outcome.steps):
            self._record_done(name, "load")
        self.affected |= dict.fromkeys(affected(outcome))

    def _check(self, name: str) -> None:
        """Have Triton load what is newer than what it serves, and note what it serves then."""
        load_model(self.client, name, disk=self.disk, timeout=self.timeout, skip_touch=True)

    def smoke_test(self) -> None:
        """Ask what was loaded, and the models that use it: an ensemble's answer may be right once all steps are new."""
        paths = {name: self.project.settings.config_dir / name / SMOKE_NAME for name in self.affected}
        for name, path in paths.items():
            if path.exists():
                result = run_smoke_test(self.client, name, path)
                self._record_done(name, "smoke test")
                if result.problems:
                    self.failed.setdefault(name, f"is loaded, but answers wrong: {'; '.join(result.problems)}")

    def _remove(self, model: PlannedModel) -> None:
        if model.has("unload"):
            self.report(f"unload {model.name}")
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
