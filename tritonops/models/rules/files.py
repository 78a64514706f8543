"""A config against the files of its model: versions, the model file, labels, warmup data."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.models.rules.core.effective import default_file, effective_backend, served_versions
from tritonops.models.rules.finding import Problem, Subject
from tritonops.models.rules.warmup_data import warmup_data_problems
from tritonops.triton_image import Release

LABELS_STAY_INSIDE: Release = (26, 5)
"""The first release whose core refuses labels outside of the model's folder (model.cc, Model::Init)."""


def files_problems(subject: Subject) -> Iterator[Problem]:
    """Compare a config with the files of its model."""
    if subject.home is None:
        return
    yield from _labels(subject, subject.home)
    yield from _warmup(subject.config, subject.home)
    yield from _policy(subject)
    yield from _model_files(subject, subject.home)
    yield from _python_name(subject)


def absent(path: Path) -> str:
    """Say that nothing is at a path; of a link to nothing, that it is one."""
    return (
        f"{path} is a link to {path.readlink()}, which does not exist" if path.is_symlink() else f"there is no {path}"
    )


def layout_problems(home: Path, versions: tuple[int, ...], configs: Collection[ModelConfig] = ()) -> Iterator[Problem]:
    """Find what is wrong with the folders of a model; of its configs, only the folders that they name count."""
    links = [path for path in sorted(home.iterdir()) if path.is_symlink() and not path.exists()]
    for path in links:
        yield Problem(
            "dangling-link",
            absent(path),
            "Triton does not load the model, in any version: 'failed to stat file'",
            "restore what it links to, or remove the link",
        )
    if not versions and not (home / "0").is_dir() and not links:
        yield Problem(
            "no-version",
            f"{home} has no version",
            "Triton does not load it: 'at least one version must be available'",
            "download it: `inv models.download`; for an ensemble, an empty folder 1 will do",
        )
    used = {"warmup", "configs", "initial_state"} | {part for config in configs for part in _parts(config)}
    is_python = any(config.backend == "python" for config in configs)  # model.py may use any folder
    for folder in sorted(path.name for path in home.iterdir() if path.is_dir()):
        is_number = re.fullmatch("[1-9][0-9]*", folder) is not None
        if is_number or folder in used or folder.startswith(".") or (is_python and not re.match("v?[0-9]", folder)):
            continue
        yield Problem(
            "version-name",
            f"{home / folder} is not named like a version",
            "Triton serves 0, which models.toml cannot declare; it ignores any other name, and one with a leading zero",
            "rename it to the version's number, or move it away",
            "warning",
        )


def _parts(message: Any) -> Iterator[str]:
    """Split every text of a config where a path has slashes: labels, libraries, environments lie in folders."""
    for field, value in message.ListFields():
        values = value.values() if hasattr(value, "values") else value if field.is_repeated else (value,)
        for each in values:
            if isinstance(each, str):
                yield from each.split("/")
            elif hasattr(each, "ListFields"):
                yield from _parts(each)


def model_file(subject: Subject, version: int) -> Path | None:
    """Find where Triton looks for the model file of a version; None where only its backend knows."""
    name = default_file(subject)
    return subject.home / str(version) / name.lstrip("/") if subject.home and name else None  # as Triton joins it


def graph_file(subject: Subject, version: int) -> Path | None:
    """Find the ONNX file of a version: the model file, or the one inside it where that is a folder."""
    path = model_file(subject, version)
    if effective_backend(subject) != "onnxruntime" or path is None:
        return None
    return path / "model.onnx" if path.is_dir() else path


def _model_files(subject: Subject, home: Path) -> Iterator[Problem]:
    for version in served_versions(subject):
        path = graph_file(subject, version) or model_file(subject, version)
        is_hazard = subject.config.backend == "python"
        if path is not None and not path.exists() and not is_hazard:
            there = sorted(entry.name for entry in (home / str(version)).iterdir())
            yield Problem(
                "model-file-missing",
                f"{absent(path)}; version {version} contains {', '.join(there) or 'nothing'}",
                "Triton does not load the model: the file does not exist",
                "set `default_model_filename`, or `local_name` in models.toml, to the file's name",
            )


def _python_name(subject: Subject) -> Iterator[Problem]:
    name = default_file(subject)
    if effective_backend(subject) == "python" and name and not name.endswith(".py"):
        yield Problem(
            "python-file-name",
            f"the Python model is to be in {name!r}",
            "Triton does not load it: \"Model name must end with '.py'\"",
            'name it model.py, write backend: "python", and leave `default_model_filename` out',
        )


def _policy(subject: Subject) -> Iterator[Problem]:
    policy = VersionPolicy.of(subject.config)
    if policy is None or policy.kind != "specific" or not subject.versions:
        return
    missing = [version for version in policy.versions if version not in subject.versions]
    if not policy.versions:
        yield Problem(
            "no-versions-listed",
            "`version_policy` lists no versions",
            "Triton does not load it: 'at least one version must be available under the version policy'",
            "list the versions to serve, or take `version_policy` out",
        )
    elif missing:
        yield Problem(
            "version-missing",
            f"`version_policy` lists version {', '.join(map(str, missing))}, which {subject.home} does not have",
            "Triton serves the versions that are there, and nothing where none is",
            "name the ensemble's folder"
            if subject.is_ensemble
            else "download it: `inv models.download`; or choose with `inv triton.serve`",
            "error" if len(missing) == len(policy.versions) else "warning",
        )


def _labels(subject: Subject, home: Path) -> Iterator[Problem]:
    for output in subject.config.output:
        path = home / output.label_filename.lstrip("/")  # as Triton joins it
        names = f"output {output.name!r} names its labels in {output.label_filename!r}"
        if output.label_filename and not path.exists():
            yield Problem(
                "label-file-missing",
                f"{names}: {absent(path)}",
                "Triton does not load the model: 'failed to open text file'",
                "put the file there, or take `label_filename` out",
            )
        elif not path.resolve().is_relative_to(home.resolve()):
            release = subject.server.release
            year, month = LABELS_STAY_INSIDE
            yield Problem(
                "label-file-outside",
                f"{names}, outside of the model's folder",
                f"Triton {year}.{month:02} and later refuses it: it 'is outside model directory'",
                f"put the file into {home}",
                "error" if release is not None and release >= LABELS_STAY_INSIDE else "warning",
            )


def _warmup(config: ModelConfig, home: Path) -> Iterator[Problem]:
    for sample in (sample for sample in config.model_warmup if sample.batch_size):
        for name, data in sample.inputs.items():
            path = home / "warmup" / data.input_data_file
            is_read = data.WhichOneof("input_data_type") == "input_data_file"
            if is_read and not path.exists():
                yield Problem(
                    "warmup-file-missing",
                    f"warmup {sample.name!r}: {absent(path)}, for input {name!r}",
                    "Triton does not load the model: 'failed to open text file'",
                    "put the file there, or write random_data: true",
                )
            elif is_read and path.is_file():
                for problem in warmup_data_problems(data, path):
                    yield replace(problem, what=f"warmup {sample.name!r}, input {name!r}: {problem.what}")
