"""Configs written from the ONNX graph of a model on disk."""

from __future__ import annotations

from pathlib import Path

from tritonops.errors import InputError, UnknownModelError
from tritonops.models.catalog.catalog import Catalog, ModelVersion
from tritonops.models.catalog.commit import Commits
from tritonops.models.configs.rendering import LABELS, ConfigOptions, config_texts
from tritonops.models.configs.variants import read_labels
from tritonops.models.disk.repository import Repository
from tritonops.project import Project


def generate_configs(
    project: Project,
    name: str,
    *,
    options: ConfigOptions | None = None,
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Write the CPU and the GPU config of a model from its newest version on disk. Returns the files.

    Raises InputError where one exists and `overwrite` is false, and GraphError where the model is
    no ONNX graph that Triton can serve; then nothing is written.
    """
    repository = project.repository
    graph_path, default_name = find_graph(project.catalog, repository, name)
    texts = config_texts(graph_path, default_name, project.settings.config_dir / name, options=options)
    commits = Commits(project.settings.models_toml)
    with commits.locked():
        _require_known(commits.catalog, repository, name)  # a removal meanwhile has taken its configs too
        there = [str(path) for path, text in texts.items() if path.exists() and not _is_same_labels(path, text)]
        if there and not overwrite:
            raise InputError(f"not overwritten: {', '.join(there)}", hint="--overwrite replaces them.")
        for path, text in texts.items():
            repository.write_source(path, text)
    return tuple(path for path in texts if path.name != LABELS)


def _is_same_labels(path: Path, text: str) -> bool:
    return path.name == LABELS and read_labels(path) == text


def find_graph(catalog: Catalog, repository: Repository, name: str) -> tuple[Path, str]:
    """Find the ONNX file of a model's newest version on disk, and its name below the version.

    Raises UnknownModelError, and InputError where no version is on disk or it is not ONNX.
    """
    _require_known(catalog, repository, name)
    versions = repository.versions(name)
    if not versions:
        raise InputError(f"{name} is not on disk", hint=f"Run: inv models.download --include {name}")
    local_name = _local_name(catalog.versions_of(name), versions[-1])
    return graph_file(name, repository.version_dir(name, versions[-1]) / local_name), local_name


def graph_file(name: str, path: Path) -> Path:
    """Find the ONNX file of a model file, which may be a folder around it. Raises InputError where there is none."""
    path = path / "model.onnx" if path.is_dir() else path
    if path.suffix != ".onnx" or not path.is_file():
        raise InputError(f"{name}: {path} is not an ONNX file", hint="Other backends' configs are written by hand.")
    return path


def _require_known(catalog: Catalog, repository: Repository, name: str) -> None:
    known = {*catalog.names, *repository.names()}
    if name not in known:
        raise UnknownModelError(name, known, where=f"{catalog.path} or the disk")


def _local_name(entries: tuple[ModelVersion, ...], version: int) -> str:
    return next((entry.local_name for entry in entries if entry.version == version), "model.onnx")
