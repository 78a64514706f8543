"""What makes a load hang for ever, or the whole server crash: found on disk, before Triton is asked.

Each was tried on Triton 2.51. A Python model without its file stays LOADING (triton-inference-server/server#8766); a
folder where Triton reads a text file aborts it with std::length_error (server#6521).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tritonops.errors import TritonOpsError
from tritonops.models.pbtxt import ModelConfig, VersionPolicy, parse_config, read_config, read_text
from tritonops.models.repository import CONFIG_NAME

CRASHES = "Triton crashes when it loads this, and serves nothing"
CRASHES_LATER = "Triton crashes at the first request, and serves nothing"
HANGS = "the load never ends: the model stays LOADING until the server is restarted"

_GREATEST_VERSION = 2**63 - 1
# Triton hands the names of folders to std::stoll, which reads the number that they begin with.
_NUMBER = re.compile(r"\s*[+-]?([1-9][0-9]{18,})")


def hazard(model: Path) -> str | None:
    """Say what in a model's folder would hang its load or crash the server; None where nothing known does.

    A config that does not parse is no hazard: Triton refuses that model alone.
    """
    return next(_hazards(model), None)


def _hazards(model: Path) -> Iterator[str]:
    path = model / CONFIG_NAME
    if path.is_dir():
        yield f"{path} is a folder; {CRASHES}"
        return
    for folder in _folders(model):
        if (found := _NUMBER.match(folder.name)) and int(found[1]) > _GREATEST_VERSION:
            yield f"the version of {folder} is greater than {_GREATEST_VERSION}; {CRASHES}"
    try:
        config = read_config(path)
    except TritonOpsError:
        return
    for text_file in _text_files(config, model):
        if text_file.is_dir():
            yield f"{text_file} is a folder, and should be a file; {CRASHES}"
    if config.instance_group and all(group.passive for group in config.instance_group):
        yield f"every instance_group of {path} is passive; {CRASHES_LATER}"
    if config.backend == "python":
        yield from _python_files(config, model)


def _folders(model: Path) -> list[Path]:
    try:
        return sorted(path for path in model.iterdir() if path.is_dir())
    except OSError:
        return []


def _text_files(config: ModelConfig, model: Path) -> Iterator[Path]:
    for output in config.output:
        if output.label_filename:
            yield model / output.label_filename
    for sample in config.model_warmup:
        for data in sample.inputs.values():
            if data.input_data_file:
                yield model / "warmup" / data.input_data_file


def _python_files(config: ModelConfig, model: Path) -> Iterator[str]:
    names = (folder.name for folder in _folders(model))
    versions = tuple(sorted(int(name) for name in names if re.fullmatch("[1-9][0-9]{0,18}", name)))
    policy = VersionPolicy.of(config) or VersionPolicy("latest")
    for version in policy.served(versions):
        file = model / str(version) / (config.default_model_filename or "model.py")
        if not file.is_file():
            what = "is a folder" if file.is_dir() else "is missing"
            yield f"{file} {what}; {HANGS}"


def load_hazard(models_dir: Path, name: str) -> str | None:
    """Say what would hang or crash a load of this model, which for an ensemble is a load of its steps too."""
    seen: set[str] = set()

    def found(model: str) -> str | None:
        seen.add(model)
        if reason := hazard(models_dir / model):
            return reason
        for step in steps_on_disk(models_dir / model):
            if step not in seen and (reason := found(step)):
                return f"its step {step} would be loaded with it: {reason}"
        return None

    return found(name)


def steps_on_disk(model: Path) -> tuple[str, ...]:
    """Name the models that an ensemble's config lists as its steps; none for any other model."""
    try:
        text = read_text(model / CONFIG_NAME)
        # Parsing is slow, and few models are ensembles.
        config = parse_config(text) if "ensemble_scheduling" in text else None
    except TritonOpsError:
        return ()
    return tuple(step.model_name for step in config.ensemble_scheduling.step) if config else ()


def ensembles_with(models_dir: Path, step: str) -> tuple[str, ...]:
    """Name the ensembles in this folder that have the model as a step."""
    return tuple(model.name for model in _folders(models_dir) if step in steps_on_disk(model))
