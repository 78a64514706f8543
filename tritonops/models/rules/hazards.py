"""What makes a load hang for ever, or the whole server crash: found on disk, before Triton is asked.

Each was tried on Triton 2.51. A Python model without its file stays LOADING (triton-inference-server/server#8766); a
folder where Triton reads a text file aborts it with std::length_error (server#6521). Backends take the first target
of a batch output without looking whether it has one (backend_common.cc, BatchOutput::ParseFromModelConfig).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from tritonops.errors import TritonOpsError, UnreadableFileError
from tritonops.files import open_regular, read_bytes
from tritonops.models.configs.pbtxt import ModelConfig, parse_config, read_config, read_text, type_name
from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.models.disk.repository import CONFIG_NAME

CRASHES = "Triton crashes when it loads this, and serves nothing"
CRASHES_LATER = "Triton crashes at the first request, and serves nothing"
MAY_CRASH = "Triton refuses the model, or crashes over it and serves nothing"
HANGS = "the load never ends: the model stays LOADING until the server is restarted"

_GREATEST_VERSION = 2**63 - 1
# Triton hands the names of folders to std::stoll, which reads the number that they begin with.
_NUMBER = re.compile(r"\s*[+-]?([1-9][0-9]{18,})")

# e_machine of an ELF header, little-endian: its bytes 18 and 19.
_ELF_MACHINES = {"x86_64": b"\x3e\x00", "aarch64": b"\xb7\x00"}


class Hazard(NamedTuple):
    """Something on disk that does more than fail one load."""

    what: str
    consequence: str

    def __str__(self) -> str:
        return f"{self.what}; {self.consequence}"


def hazard(model: Path) -> str | None:
    """Say what in a model's folder would hang its load or crash a server of this machine; None for nothing known.

    A config that does not parse is no hazard: Triton refuses that model alone.
    """
    return next(map(str, chain(hazards(model), _foreign_stub(model))), None)


def hazards(model: Path) -> Iterator[Hazard]:
    """Find all of them in a model's folder."""
    path = model / CONFIG_NAME
    if path.is_dir():
        yield Hazard(f"{path} is a folder", CRASHES)
        return
    if path.is_fifo():
        yield _pipe(path)
        return
    for folder in _folders(model):
        if (found := _NUMBER.match(folder.name)) and int(found[1]) > _GREATEST_VERSION:
            yield Hazard(f"the version of {folder} is greater than {_GREATEST_VERSION}", CRASHES)
        if folder.name.isdigit():
            yield from map(_pipe, filter(Path.is_fifo, _entries(folder)))
    try:
        config = read_config(path)
    except TritonOpsError:
        return
    for text_file in _text_files(config, model):
        if text_file.is_dir():
            yield Hazard(f"{text_file} is a folder, and should be a file", CRASHES)
        elif text_file.is_fifo():
            yield _pipe(text_file)
    yield from _warmup_strings(config, model)
    if config.instance_group and all(group.passive for group in config.instance_group):
        yield Hazard(f"every instance_group of {path} is passive", CRASHES_LATER)
    if config.HasField("model_repository_agents") and not config.model_repository_agents.agents:
        yield Hazard(f"the model_repository_agents of {path} are empty", CRASHES)
    if config.output and any(not tensor.target_name for tensor in config.batch_output):
        yield Hazard(f"a batch_output of {path} has no target_name", CRASHES)
    if config.backend == "python":
        yield from _python_files(config, model)


def _foreign_stub(model: Path) -> Iterator[Hazard]:
    """Find a stub of the model's own that this machine cannot run.

    Once Triton has tried it, the log may not say so: it takes everybody's right to read the file away.
    """
    stub = model / "triton_python_backend_stub"
    try:
        with open_regular(stub) as file:
            head = file.read(20)
    except (OSError, UnreadableFileError):
        return
    import platform  # few models have a stub, and every load looks for one

    machine = _ELF_MACHINES.get(platform.machine())
    if head[:4] == b"\x7fELF" and machine and head[18:20] != machine:
        yield Hazard(f"{stub} is a program for another processor than {platform.machine()}", HANGS)


def _pipe(path: Path) -> Hazard:
    return Hazard(f"{path} is a pipe, and should be a file", HANGS)


def _folders(model: Path) -> list[Path]:
    return [path for path in _entries(model) if path.is_dir()]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _text_files(config: ModelConfig, model: Path) -> Iterator[Path]:
    for output in config.output:
        if output.label_filename:
            yield model / output.label_filename.lstrip("/")  # as Triton joins it
    for data in _warmup_inputs(config):
        yield model / "warmup" / data.input_data_file


def _warmup_inputs(config: ModelConfig) -> Iterator[Any]:
    """Give the inputs whose data Triton reads from files; a sample without a batch size is skipped."""
    for sample in (sample for sample in config.model_warmup if sample.batch_size):
        yield from (data for data in sample.inputs.values() if data.WhichOneof("input_data_type") == "input_data_file")


def _warmup_strings(config: ModelConfig, model: Path) -> Iterator[Hazard]:
    for data in _warmup_inputs(config):
        path = model / "warmup" / data.input_data_file
        if type_name(data) == "TYPE_STRING" and path.is_file():
            from tritonops.models.rules.warmup_data import MAX_STRINGS, ends_inside_a_string

            with suppress(UnreadableFileError):
                if ends_inside_a_string(read_bytes(path, MAX_STRINGS)):
                    yield Hazard(f"{path} does not contain strings behind their lengths, 4 bytes each", MAY_CRASH)


FILES_OF_PLATFORMS = {"tensorflow_savedmodel": "model.savedmodel", "tensorflow_graphdef": "model.graphdef"}
"""The file of a platform that says more than its backend does."""


def _python_files(config: ModelConfig, model: Path) -> Iterator[Hazard]:
    names = (folder.name for folder in _folders(model))
    versions = tuple(sorted(int(name) for name in names if re.fullmatch("[1-9][0-9]{0,18}", name)))
    policy = VersionPolicy.of(config) or VersionPolicy("latest")
    # The core takes the name from the platform where there is one (AutoCompleteBackendFields).
    usual = FILES_OF_PLATFORMS.get(config.platform, "model.py")
    for version in policy.served(versions):
        file = model / str(version) / (config.default_model_filename.lstrip("/") or usual)  # as Triton joins it
        if not file.is_file():
            target = f"is a link to {file.readlink()}, which does not exist" if file.is_symlink() else "is missing"
            yield Hazard(f"{file} {'is a folder' if file.is_dir() else target}", HANGS)


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
