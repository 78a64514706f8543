"""Compare models.toml, the lock, the disk and the server, model by model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tritonops.errors import ConfigError, RepositoryError, SourceChangedError, UnknownModelError
from tritonops.models.catalog.catalog import ModelVersion
from tritonops.models.catalog.lockfile import pin_of
from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.configs.variants import Variant
from tritonops.models.install.state import install_state
from tritonops.models.sources.path_source import source_problems
from tritonops.project import Project
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient
from tritonops.triton.client.served_configs import PrefetchedConfigs
from tritonops.triton.dependents import ensemble_steps, missing_step
from tritonops.triton.disk.comparison import changed_config, changed_versions, override_diff, ready
from tritonops.triton.disk.served_folder import LoadRecord, ServedFolder
from tritonops.triton.list import list_models, rows_by_name
from tritonops.triton.plan.declared_config import DeclaredConfig, declared_config, without_undeclared
from tritonops.triton.plan.plan import Action, Plan, PlannedModel, PlannedVersion


def make_plan(
    project: Project,
    client: TritonClient,
    *,
    include: Sequence[str] = (),
    variant: Variant | None = None,
    prune: bool = False,
) -> Plan:
    """Compare models.toml, the lock, the disk and the server, and plan the actions for each version.

    Without a `variant`, a config that matches the GPU's or the CPU's is kept, and any other becomes the GPU's.
    Undeclared models are reported and kept; with `prune` they go out of service. Raises CatalogError, InputError,
    UnknownModelError for an unknown name in `include`, and what the client raises.
    """
    planner = _Planner(project, client, variant, prune=prune)
    for name in include:
        if name not in planner.names:
            raise UnknownModelError(
                name, planner.names, where=f"{project.settings.models_toml}, the disk or the server"
            )
    models = tuple(planner.plan(name) for name in planner.names if not include or name in include)
    project.store.digests.save()  # or the next plan reads every installed file again
    return Plan(models)


_NO_VERSION: tuple[None] = (None,)


@dataclass(frozen=True)
class _DeclaredModel:
    """A declared model, on disk and on the server."""

    name: str
    entries: Mapping[int, ModelVersion]
    on_disk: tuple[int, ...]
    config: DeclaredConfig
    is_enabled: bool
    """Whether it has a folder in the models directory."""
    server: Mapping[int, ModelStatus]
    served_diff: str | None
    """From the config that is served to the one on disk."""
    changed: Mapping[int, str]
    """By version, why its files differ from the served ones."""

    @property
    def picked(self) -> tuple[int, ...]:
        """The versions that the policy picks of those on disk and those to download."""
        return self.config.policy.served(tuple(sorted({*self.on_disk, *self.entries})))

    @property
    def versions(self) -> list[int]:
        """Every version that is in models.toml, on disk or READY."""
        return sorted({*self.on_disk, *self.entries, *ready(self.server.values())})


class _Planner:
    """Plans each model, with what all models share."""

    def __init__(self, project: Project, client: TritonClient, variant: Variant | None, *, prune: bool) -> None:
        self._settings, self._catalog = project.settings, project.catalog
        self._variant, self._prune = variant, prune
        self._lock = project.lock
        self._store = project.store
        self._changed_sources = {
            label: error
            for label, error in source_problems(self._catalog, self._lock, self._store.digests).items()
            if isinstance(error, SourceChangedError)
        }
        self._repository = project.repository
        self._disk = ServedFolder.of(project.settings.models_dir, client.url)
        self._server = rows_by_name(list_models(client))
        self._served = PrefetchedConfigs(client, [name for name, rows in self._server.items() if ready(rows)])
        self._enabled = {*self._repository.enabled_names()}
        self._disabled = {*self._repository.disabled_names()}
        self.names = tuple(
            dict.fromkeys([*self._catalog.names, *sorted({*self._enabled, *self._disabled, *self._server})])
        )

    def plan(self, name: str) -> PlannedModel:
        """Plan one model; an error is a blocked row."""
        try:
            self._repository.home(name)
            if not self._catalog.versions_of(name):
                return PlannedModel(name, tuple(self._undeclared_rows(name)), steps=self._steps(name))
            if name in self._disabled:
                return PlannedModel(name, tuple(self._disabled_rows(name)), steps=self._served_steps(name))
            return self._declared(name)
        except (RepositoryError, ConfigError) as exc:
            return PlannedModel(name, (_blocked(name, str(exc)),))

    def _undeclared_rows(self, name: str) -> Iterator[PlannedVersion]:
        """Keep or prune an undeclared model; a disabled one is already hidden from Triton.

        An ensemble that Triton took out of service, because it lost a step, is loaded again.
        """
        if not self._prune and (reason := self._lost_step(name)):
            yield PlannedVersion(
                name, None, False, "installed", "UNAVAILABLE", ("load",), f"not in models.toml; {reason}"
            )
            return
        disk = "installed" if name in self._enabled else "disabled" if name in self._disabled else None
        states = {row.version: row.state for row in self._rows(name) if row.version is not None}
        is_overridden = name in self._enabled and "READY" in states.values() and self._is_overridden(name)
        reason = "not in models.toml" + ("; the config that is served is another one" if is_overridden else "")
        for version in sorted({*self._repository.versions(name), *states}) or _NO_VERSION:
            server = states.get(version) if version else None
            pruned: list[Action] = ["unload"] if server in ("READY", "LOADING") else []
            pruned += ["disable"] if name in self._enabled else []
            actions: tuple[Action, ...] = tuple(pruned) if self._prune and pruned else ("unchanged",)
            yield PlannedVersion(name, version, False, disk, server, actions, reason)

    def _lost_step(self, name: str) -> str | None:
        rows = self._rows(name)
        if name not in self._enabled or any(row.state == "READY" for row in rows):
            return None
        text = self._disk.config_text(name)
        model = self._disk.read(name) if text and "ensemble_scheduling" in text else None
        if model is None or model.config is None:
            return None
        if reasons := [row.reason for row in rows if row.reason and row.reason != "unloaded"]:
            return reasons[-1]
        # Triton reports "unloaded", as for a model that a client unloaded; that one has no load record.
        if self._disk.record(name) is None:
            return None
        return missing_step(model.config, itertools.chain(*self._server.values())) or self._overridden(model.config)

    def _overridden(self, ensemble: ModelConfig) -> str | None:
        """Name a step that another client loaded with its own config, which may not fit the ensemble."""
        step = next(filter(self._is_overridden, ensemble_steps(ensemble)), None)
        return f"its step {step} is served with another config than it was loaded with" if step else None

    def _is_overridden(self, name: str) -> bool:
        model, record = self._disk.read(name), self._disk.record(name)
        return bool(model and record and override_diff(self._served, model, record))

    def _steps(self, name: str) -> tuple[str, ...]:
        model = self._disk.read(name) if self._prune else None
        return tuple(ensemble_steps(model.config)) if model and model.config is not None else ()

    def _served_steps(self, name: str) -> tuple[str, ...]:
        """The steps of an ensemble that is still served, and the models that a model calls."""
        is_served = any(row.state == "READY" for row in self._rows(name))
        return (*(ensemble_steps(self._served.config(name)) if is_served else ()), *self._called(name))

    def _called(self, name: str) -> Iterator[str]:
        return (called for entry in self._catalog.versions_of(name) for called in entry.depends_on)

    def _disabled_rows(self, name: str) -> Iterator[PlannedVersion]:
        """Unload a disabled model that is still served; it is not downloaded."""
        states = {row.version: row.state for row in self._rows(name) if row.version is not None}
        for version in sorted({entry.version for entry in self._catalog.versions_of(name)} | {*states}):
            server = states.get(version)
            actions: tuple[Action, ...] = ("unload",) if server in ("READY", "LOADING") else ("unchanged",)
            yield PlannedVersion(name, version, True, "disabled", server, actions, "disabled")

    def _declared(self, name: str) -> PlannedModel:
        record = self._disk.record(name)
        model = self._gather(name, record)
        planned = [_planned(model, version, *self._disk_state(model, version)) for version in model.versions]
        config = model.config
        return PlannedModel(
            name,
            (*self._source_rows(name), *_model_rows(model), *planned),
            config=config.text if config.differs and not config.error else None,
            config_on_disk=config.on_disk,
            diff=config.diff or model.served_diff,
            steps=(*config.steps, *self._called(name)),
            is_unrecorded=record is None and bool(ready(model.server.values())),
        )

    def _source_rows(self, name: str) -> Iterator[PlannedVersion]:
        for entry in self._catalog.versions_of(name):
            if error := self._changed_sources.get(entry.label):
                yield _blocked(name, f"{entry.label}: {error.in_one_line}")

    def _gather(self, name: str, record: LoadRecord | None) -> _DeclaredModel:
        entries = {entry.version: entry for entry in self._catalog.versions_of(name)}
        model = self._disk.read(name)
        on_disk = model.versions if model else self._repository.versions(name)
        config = declared_config(
            self._catalog,
            self._repository,
            self._settings.config_dir,
            name,
            variant=self._variant,
            model=model,
            record=record,
        )
        if self._prune:
            config = without_undeclared(config, {*entries}, tuple(sorted({*on_disk, *entries})))
        rows = {row.version: row for row in self._rows(name) if row.version is not None}
        diff = changed_config(self._served, model, record) if model and ready(rows.values()) else None
        changed = changed_versions(model, record) if model and record else []
        is_verified = record is not None and bool(record.files)
        why = "its files are not those that were loaded" if is_verified else "its last load was not completed"
        return _DeclaredModel(
            name, entries, on_disk, config, model is not None, rows, diff, dict.fromkeys(changed, why)
        )

    def _disk_state(self, model: _DeclaredModel, version: int) -> tuple[str, str | None]:
        """Give the state of a version on disk, and why it has to be downloaded, if it has to."""
        entry = model.entries.get(version)
        if entry is None:
            return ("installed" if version in model.on_disk else "absent"), None
        pin = pin_of(entry, self._lock, self._catalog.path)
        if pin is None:
            return self._unpinned_state(entry)
        folder = self._disk.models_dir / entry.name / str(entry.version) if model.is_enabled else None
        state = install_state(self._store, pin, self._repository, folder=folder)
        if state == "absent":
            return "absent", "not on disk"
        if state == "other bytes":
            return state, "its files are not the pinned ones"
        return "installed", None

    def _unpinned_state(self, entry: ModelVersion) -> tuple[str, str | None]:
        if not (self._repository.version_dir(entry.name, entry.version) / entry.local_name).exists():
            return "absent", "not on disk"
        if entry.label in self._lock:
            return "other bytes", "its entry in models.toml changed since models.lock was written"
        return "unpinned", None

    def _rows(self, name: str) -> Sequence[ModelStatus]:
        return self._server.get(name, ())


def _planned(model: _DeclaredModel, version: int, disk: str, missing: str | None) -> PlannedVersion:
    row, is_declared = model.server.get(version), version in model.entries
    actions, reason = _decision(model, version, row, missing)
    if not is_declared:
        reason = f"not in models.toml; {reason}" if reason else "not in models.toml"
    return PlannedVersion(model.name, version, is_declared, disk, row.state if row else None, actions, reason)


def _decision(
    model: _DeclaredModel, version: int, row: ModelStatus | None, missing: str | None
) -> tuple[tuple[Action, ...], str | None]:
    """Choose the actions for one version, with the reason; `missing` is why it has to be downloaded, if it has to."""
    config, is_picked = model.config, version in model.picked
    policy = f"version_policy: {config.policy}" + (", set with triton.serve" if config.is_chosen else "")
    if missing:
        return (("download", "load") if is_picked and not config.error else ("download",)), missing
    if config.error:
        return ("unchanged",), None
    if not is_picked:
        return (("remove from serving",) if row and row.state == "READY" else ("unchanged",)), policy
    if row is None or row.state != "READY":
        return ("load",), (row.reason if row and row.reason != "unloaded" else None) or "not served"
    if version in model.changed:
        return ("load",), model.changed[version]
    if config.differs:
        return ("load",), "its config changes"
    if model.served_diff:
        return ("load",), "the config that is served is another one"
    return ("unchanged",), policy if config.is_chosen else None


def _model_rows(model: _DeclaredModel) -> Iterator[PlannedVersion]:
    """Give the rows about the model's config, if it needs any."""
    config = model.config
    if config.error:
        yield _blocked(model.name, config.error)
        return
    if not {*model.picked} & {*model.entries} and not config.is_chosen:
        hidden = f"Triton serves version {', '.join(map(str, model.picked))}, which models.toml does not have"
        yield _blocked(model.name, f"{hidden}, instead of its own: --prune or `inv triton.serve` chooses those")
    if config.differs:
        reason = "differs from triton-config" if config.on_disk is not None else "there is none on disk"
        yield PlannedVersion(model.name, None, True, None, None, ("config",), reason)


def _blocked(name: str, reason: str) -> PlannedVersion:
    return PlannedVersion(name, None, True, None, None, ("blocked",), reason)
