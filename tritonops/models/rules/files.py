"""A config against the files of its model: versions, the model file, labels, warmup data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.models.rules.config import effective_backend, served_versions
from tritonops.models.rules.finding import Problem, Subject
from tritonops.models.rules.warmup_data import warmup_data_problems

DEFAULT_FILES = {
    "onnxruntime": "model.onnx",
    "tensorrt": "model.plan",
    "pytorch": "model.pt",
    "python": "model.py",
    "openvino": "model.xml",
}


def files_problems(subject: Subject) -> Iterator[Problem]:
    """Compare a config with the files of its model."""
    if subject.home is None:
        return
    yield from _labels(subject.config, subject.home)
    yield from _warmup(subject.config, subject.home)
    yield from _policy(subject)
    yield from _model_files(subject, subject.home)


def absent(path: Path) -> str:
    """Say that nothing is at a path; of a link to nothing, that it is one."""
    return (
        f"{path} is a link to {path.readlink()}, which does not exist" if path.is_symlink() else f"there is no {path}"
    )


def layout_problems(home: Path, versions: tuple[int, ...]) -> Iterator[Problem]:
    """Find what is wrong with the folders of a model, whatever its config says."""
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
    for folder in sorted(path.name for path in home.iterdir() if path.is_dir()):
        if folder in ("warmup", "configs") or folder.startswith(".") or re.fullmatch("[1-9][0-9]*", folder):
            continue
        yield Problem(
            "version-name",
            f"{home / folder} is not named like a version",
            "Triton serves 0, which models.toml cannot declare; it ignores any other name, and one with a leading zero",
            "rename it to the version's number, or move it away",
            "warning",
        )


def model_file(subject: Subject, version: int) -> Path | None:
    """Find where Triton looks for the model file of a version; None where only its backend knows."""
    name = subject.config.default_model_filename or DEFAULT_FILES.get(effective_backend(subject) or "")
    return subject.home / str(version) / name if subject.home and name else None


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


def _policy(subject: Subject) -> Iterator[Problem]:
    policy = VersionPolicy.of(subject.config)
    if subject.is_ensemble or policy is None or policy.kind != "specific" or not subject.versions:
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
            "download it: `inv models.download`; or choose with `inv triton.serve`",
            "error" if len(missing) == len(policy.versions) else "warning",
        )


def _labels(config: ModelConfig, home: Path) -> Iterator[Problem]:
    for output in config.output:
        path = home / output.label_filename
        if output.label_filename and not path.exists():
            yield Problem(
                "label-file-missing",
                f"output {output.name!r} names its labels in {output.label_filename!r}: {absent(path)}",
                "Triton does not load the model: 'failed to open text file'",
                "put the file there, or take `label_filename` out",
            )


def _warmup(config: ModelConfig, home: Path) -> Iterator[Problem]:
    for sample in config.model_warmup:
        for name, data in sample.inputs.items():
            path = home / "warmup" / data.input_data_file
            if data.input_data_file and not path.exists():
                yield Problem(
                    "warmup-file-missing",
                    f"warmup {sample.name!r}: {absent(path)}, for input {name!r}",
                    "Triton does not load the model: 'failed to open text file'",
                    "put the file there, or write random_data: true",
                )
            elif data.input_data_file and path.is_file():
                for problem in warmup_data_problems(data, path):
                    yield replace(problem, what=f"warmup {sample.name!r}, input {name!r}: {problem.what}")
