"""Ensembles with their steps, and models that call others: what a change would take out of service.

Calls from a Python model (BLS) are in no config: `depends_on` in models.toml declares them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tritonops.errors import DependentError, InputError
from tritonops.models.configs.pbtxt import ModelConfig, type_name
from tritonops.models.disk.repository import Repository
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient
from tritonops.triton.disk.served_folder import ModelOnDisk, ServedFolder


def ensembles(client: TritonClient, disk: ServedFolder, rows: Iterable[ModelStatus]) -> dict[str, ModelConfig]:
    """Give the configs of all ensembles: the enabled ones on disk, and those served without a folder."""
    names = Repository(disk.models_dir).enabled_names()
    on_disk = {name: config for name in names if (config := _ensemble_config(disk, name)) is not None}
    without_folder = sorted({row.name for row in rows if row.state == "READY"} - {*names})
    served = {name: config for name in without_folder if ensemble_steps(config := client.config(name))}
    return {**on_disk, **served}


def _ensemble_config(disk: ServedFolder, name: str) -> ModelConfig | None:
    text = disk.config_text(name)
    model = disk.read(name) if text and "ensemble_scheduling" in text else None
    return model.config if model else None


def ensemble_steps(config: Any) -> list[str]:
    """Name an ensemble's component models; empty for any other model."""
    return [step.model_name for step in config.ensemble_scheduling.step]


def refuse_broken(client: TritonClient, disk: ServedFolder, model: ModelOnDisk, rows: Iterable[ModelStatus]) -> None:
    """Raise DependentError if an ensemble could not be served with this model as it is on disk."""
    all_rows = list(rows)
    users = {
        name: config
        for name, config in ensembles(client, disk, all_rows).items()
        if model.name in ensemble_steps(config)
    }
    callers = disk.callers.get(model.name, ())
    if not users and not callers:
        return
    in_service = {row.name for row in all_rows if row.state == "READY"}
    served = client.config(model.name) if model.name in in_service else None
    reasons = [
        f"{name} {reason}"
        for name, config in users.items()
        for reason in _unmet(config, model, served if name in in_service else None)
    ]
    reasons += [f"{name} {reason}" for name in callers if name in in_service for reason in _unlike(model, served)]
    if reasons:
        raise DependentError(model.name, reasons, sorted({*users, *callers}))


def refuse_needed(client: TritonClient, name: str, index: Iterable[ModelStatus], disk: ServedFolder | None) -> None:
    """Raise InputError for a model without which another one that is in service would not be, or would fail."""
    in_service = {row.name for row in index if row.state == "READY"}
    if ensembles := [each for each in sorted(in_service - {name}) if name in ensemble_steps(client.config(each))]:
        raise InputError(
            f"{name}: it is a step of {', '.join(ensembles)}, which Triton would take out of service with it",
            hint=f"Unload {', '.join(ensembles)} first.",
        )
    if callers := sorted(in_service & {*(disk.callers.get(name, ()) if disk else ())}):
        raise InputError(
            f"{name}: it is called by {', '.join(callers)} (depends_on in models.toml), which would fail without it",
            hint=f"Unload {', '.join(callers)} first.",
        )


def _unlike(model: ModelOnDisk, served: ModelConfig | None) -> Iterator[str]:
    """Compare all tensors, since the ones that a caller uses are unknown."""
    if model.config is not None and served is not None:
        for kind in ("input", "output"):
            tensors = getattr(served, kind)
            yield from _changed(kind, {tensor.name: "" for tensor in tensors}, tensors, getattr(model.config, kind))


def _unmet(ensemble: ModelConfig, model: ModelOnDisk, served: ModelConfig | None) -> Iterator[str]:
    for step in ensemble.ensemble_scheduling.step:
        if step.model_name != model.name:
            continue
        if step.model_version > 0 and step.model_version not in model.served:
            picked = ", ".join(map(str, model.served)) or "none"
            yield f"needs version {step.model_version} of {model.name}, and version_policy serves {picked}"
        if model.config is not None and served is not None:
            yield from _changed("input", step.input_map, served.input, model.config.input)
            yield from _changed("output", step.output_map, served.output, model.config.output)


def _changed(kind: str, mapped: Mapping[str, str], served: Any, on_disk: Any) -> Iterator[str]:
    """Compare the mapped tensors: a changed one would no longer fit its counterpart in the ensemble."""
    before, after = ({tensor.name: tensor for tensor in tensors} for tensors in (served, on_disk))
    for tensor in sorted(mapped):
        if tensor in before and tensor not in after:
            yield f"uses its {kind} {tensor!r}, which its config on disk no longer has"
        elif tensor in before and (found := _signature(after[tensor])) != (was := _signature(before[tensor])):
            yield f"uses its {kind} {tensor!r}, which would be {found} instead of {was}"
    if kind == "input":
        for tensor in sorted(after.keys() - before.keys() - mapped.keys()):
            if not after[tensor].optional:
                yield f"does not give its new input {tensor!r}"


def _signature(tensor: Any) -> str:
    return f"{type_name(tensor)} [{', '.join(map(str, tensor.dims))}]"


def users_in_service(
    client: TritonClient, disk: ServedFolder | None, rows: Collection[ModelStatus]
) -> dict[str, set[str]]:
    """Name what each model in service uses: an ensemble's steps as loaded, and the models that a model calls."""
    in_service = {row.name for row in rows if row.state == "READY"}
    names = in_service if disk is None else in_service & ensembles(client, disk, rows).keys()
    configs = {name: client.config(name) for name in sorted(names)}
    users = {name: steps for name, config in configs.items() if (steps := {*ensemble_steps(config)})}
    for called, callers in (disk.callers if disk else {}).items():
        for caller in in_service.intersection(callers):
            users.setdefault(caller, set()).add(called)
    return users


def dependents_of(changed: Collection[str], users: Mapping[str, set[str]]) -> tuple[str, ...]:
    """Name the models that use one of the changed ones, directly or not."""
    using = {*changed}
    while more := {name for name in users.keys() - using if users[name] & using}:
        using |= more
    return tuple(sorted(using - {*changed}))


def missing_step(ensemble: ModelConfig, rows: Iterable[ModelStatus]) -> str | None:
    """Name the first step that is not served as the ensemble needs it; None if all are."""
    in_service = {(row.name, row.version) for row in rows if row.state == "READY"}
    names = {name for name, _ in in_service}
    for step in ensemble.ensemble_scheduling.step:
        if step.model_name not in names:
            return f"its step {step.model_name} is not served"
        if step.model_version > 0 and (step.model_name, step.model_version) not in in_service:
            return f"version {step.model_version} of its step {step.model_name} is not served"
    return None
