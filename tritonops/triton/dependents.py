"""Ensembles with their steps, and models that call others: what a change of a model would take out of service.

What a model calls by itself (BLS) is in no config: `depends_on` in models.toml declares it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tritonops.errors import DependentError
from tritonops.models.pbtxt import ModelConfig, type_name
from tritonops.models.repository import Repository
from tritonops.triton.client import ModelStatus, TritonClient
from tritonops.triton.disk import Disk, ModelOnDisk


def ensembles(client: TritonClient, disk: Disk, rows: Iterable[ModelStatus]) -> dict[str, ModelConfig]:
    """Give the configs of all ensembles: those on disk that Triton is shown, and those that are served without a folder."""
    names = Repository(disk.models_dir).enabled_names()
    on_disk = {name: config for name in names if (config := _ensemble_config(disk, name)) is not None}
    without_folder = sorted({row.name for row in rows if row.state == "READY"} - {*names})
    served = {name: config for name in without_folder if ensemble_steps(config := client.config(name))}
    return {**on_disk, **served}


def _ensemble_config(disk: Disk, name: str) -> ModelConfig | None:
    text = disk.config_text(name)
    model = disk.read(name) if text and "ensemble_scheduling" in text else None
    return model.config if model else None


def ensemble_steps(config: Any) -> list[str]:
    """Name the models that an ensemble consists of; none for the ModelConfig of any other model."""
    return [step.model_name for step in config.ensemble_scheduling.step]


def refuse_broken(client: TritonClient, disk: Disk, model: ModelOnDisk, rows: Iterable[ModelStatus]) -> None:
    """Raise DependentError where an ensemble could not be served with this model as it is on disk now."""
    all_rows = list(rows)
    users = {
        name: config for name, config in ensembles(client, disk, all_rows).items() if model.name in ensemble_steps(config)
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


def _unlike(model: ModelOnDisk, served: ModelConfig | None) -> Iterator[str]:
    """Compare all tensors: nobody knows which of them a caller uses."""
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
    """Compare the tensors that the ensemble maps; a tensor that is not what it was would not fit what it is mapped to."""
    before, after = ({tensor.name: tensor for tensor in tensors} for tensors in (served, on_disk))
    for tensor in sorted(mapped):
        if tensor in before and tensor not in after:
            yield f"uses its {kind} {tensor!r}, which its config on disk has no longer"
        elif tensor in before and (found := _signature(after[tensor])) != (was := _signature(before[tensor])):
            yield f"uses its {kind} {tensor!r}, which would be {found} instead of {was}"
    if kind == "input":
        for tensor in sorted(after.keys() - before.keys() - mapped.keys()):
            if not after[tensor].optional:
                yield f"does not give its new input {tensor!r}"


def _signature(tensor: Any) -> str:
    return f"{type_name(tensor)} [{', '.join(map(str, tensor.dims))}]"


def served_dependents(
    client: TritonClient, disk: Disk, changed: Collection[str], rows: Collection[ModelStatus]
) -> tuple[str, ...]:
    """Name the models in service, other than the changed ones, that use one of those, or one that does."""
    steps = {name: {*ensemble_steps(config)} for name, config in ensembles(client, disk, rows).items()}
    for called, callers in disk.callers.items():
        for caller in callers:
            steps.setdefault(caller, set()).add(called)
    using = {*changed}
    while more := {name for name in steps.keys() - using if steps[name] & using}:
        using |= more
    in_service = {row.name for row in rows if row.state == "READY"}
    return tuple(sorted(in_service & using - {*changed}))


def lost(before: Iterable[ModelStatus], after: Iterable[ModelStatus], changed: Collection[str]) -> dict[str, str]:
    """Find the models, other than the changed ones, that were served before and are not after; with the reason."""
    rows = list(after)
    gone = {row.name for row in before if row.state == "READY"} - {row.name for row in rows if row.state == "READY"}
    reasons = {row.name: row.reason for row in rows if row.reason}
    # A row that says "unloaded" was unloaded by somebody, on purpose.
    return {
        name: reasons.get(name) or "it is not served"
        for name in sorted(gone - {*changed})
        if reasons.get(name) != "unloaded"
    }
