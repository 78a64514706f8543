"""Configs written from the ONNX graphs of models on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import InputError, PartialFailureError, TritonOpsError, UnknownModelError
from tritonops.models.catalog.catalog import Catalog
from tritonops.models.catalog.commit import Commits
from tritonops.models.configs.config_options import ConfigOptions
from tritonops.models.configs.rendering import LABELS, RenderedConfigs, render_configs
from tritonops.models.configs.variants import VARIANTS, read_labels, source_path
from tritonops.models.disk.repository import Repository
from tritonops.models.graphs.examine import examine_graphs
from tritonops.project import Project


@dataclass(frozen=True)
class GenerationResult:
    """The result for one model: its files, or the error that kept it from having any."""

    name: str
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    """What the reader has to know: why there are no batches, what ONNX Runtime says of the graph."""
    error: TritonOpsError | None = None


def models_without_configs(project: Project) -> tuple[str, ...]:
    """List the models of models.toml and of the disk that have no config in triton-config/."""
    folder = project.settings.config_dir
    names = dict.fromkeys((*project.catalog.names, *project.repository.names()))
    return tuple(name for name in names if not any(source_path(folder, name, each).exists() for each in VARIANTS))


def generate_configs(
    project: Project, names: Sequence[str], *, options: ConfigOptions | None = None, overwrite: bool = False
) -> tuple[GenerationResult, ...]:
    """Write the CPU and the GPU config of each model from its newest version on disk.

    Nothing is written for a model whose config exists, unless `overwrite`, nor for one that is not on disk, is no ONNX
    graph, or none that Triton can serve: see `raise_unless_generated`. Raises UnknownModelError.
    """
    rendered = _render(project, names, options or ConfigOptions())
    commits = Commits(project.settings.models_toml)
    with commits.locked():
        now, on_disk = commits.catalog, frozenset(project.repository.names())
        results = []
        for name, found in rendered.items():
            _require_known(now, on_disk, name)  # a removal meanwhile has taken its configs too
            results.append(_written(project.repository, name, found, overwrite=overwrite))
    return tuple(results)


def raise_unless_generated(results: Sequence[GenerationResult]) -> None:
    """Raise the error of the one model, or PartialFailureError that names each of several."""
    failures = {result.name: result.error for result in results if result.error}
    if len(results) == 1 and failures:
        raise next(iter(failures.values()))
    if failures:
        raise PartialFailureError(
            f"{len(failures)} of {len(results)} configs were not generated",
            {name: str(error) for name, error in failures.items()},
        )


def _render(
    project: Project, names: Sequence[str], options: ConfigOptions
) -> dict[str, RenderedConfigs | TritonOpsError]:
    """Read and try all graphs, and render their configs."""
    catalog, repository = project.catalog, project.repository
    on_disk = frozenset(repository.names())
    graphs: dict[str, tuple[Path, str] | TritonOpsError] = {}
    for name in dict.fromkeys(names):
        _require_known(catalog, on_disk, name)
        try:
            graphs[name] = find_graph(catalog, repository, name)
        except TritonOpsError as exc:
            graphs[name] = exc
    paths = [graph[0] for graph in graphs.values() if isinstance(graph, tuple)]
    examined = examine_graphs(paths, batches=options.max_batch_size != 0)
    rendered: dict[str, RenderedConfigs | TritonOpsError] = {}
    for name, graph in graphs.items():
        try:
            if isinstance(graph, TritonOpsError):
                raise graph
            path, default_name = graph
            found = examined[path]
            if isinstance(found, TritonOpsError):
                raise found
            rendered[name] = render_configs(found, default_name, project.settings.config_dir / name, options=options)
        except TritonOpsError as exc:
            rendered[name] = exc
    return rendered


def _written(
    repository: Repository, name: str, rendered: RenderedConfigs | TritonOpsError, *, overwrite: bool
) -> GenerationResult:
    if isinstance(rendered, TritonOpsError):
        return GenerationResult(name, error=rendered)
    texts = rendered.texts
    present = [str(path) for path, text in texts.items() if path.exists() and not _is_same_labels(path, text)]
    if present and not overwrite:
        error = InputError(f"not overwritten: {', '.join(present)}", hint="--overwrite replaces them.")
        return GenerationResult(name, error=error)
    for path, text in texts.items():
        repository.write_source(path, text)
    return GenerationResult(name, tuple(path for path in texts if path.name != LABELS), rendered.notes)


def _is_same_labels(path: Path, text: str) -> bool:
    return path.name == LABELS and read_labels(path) == text


def find_graph(catalog: Catalog, repository: Repository, name: str) -> tuple[Path, str]:
    """Find the ONNX file of a model's newest version on disk, and its name below the version.

    Raises InputError where no version is on disk or it is not ONNX.
    """
    versions = repository.versions(name)
    if not versions:
        raise InputError(f"{name} is not on disk", hint=f"Run: inv models.download --include {name}")
    entry = next((entry for entry in catalog.versions_of(name) if entry.version == versions[-1]), None)
    local_name = entry.local_name if entry else "model.onnx"
    return graph_file(name, repository.version_dir(name, versions[-1]) / local_name), local_name


def graph_file(name: str, path: Path) -> Path:
    """Find the ONNX file of a model file, which may be a folder around it. Raises InputError where there is none."""
    graph = path / "model.onnx" if path.is_dir() else path
    if graph.suffix == ".onnx" and graph.is_file():
        return graph
    others = sorted(file.name for file in path.glob("*.onnx")) if path.is_dir() else []
    if others:
        raise InputError(
            f"{name}: {path} contains {', '.join(others)}, and Triton reads model.onnx in it",
            hint="Rename it where it comes from, or add the file alone: `inv models.add` with --file or --path.",
        )
    raise InputError(f"{name}: {graph} is not an ONNX file", hint="Other backends' configs are written by hand.")


def _require_known(catalog: Catalog, on_disk: frozenset[str], name: str) -> None:
    if not catalog.versions_of(name) and name not in on_disk:
        raise UnknownModelError(name, {*catalog.names, *on_disk}, where=f"{catalog.path} or the disk")
