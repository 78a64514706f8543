"""Add a model: its entry and pin, its files, and its config."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

from tritonops.errors import GraphError, SourceError, StoreError, TritonOpsError
from tritonops.models.catalog.catalog import ModelVersion, PathSource, UrlSource
from tritonops.models.catalog.commit import Commits
from tritonops.models.catalog.editing import with_entry, without_labels
from tritonops.models.catalog.lockfile import LockedVersion
from tritonops.models.catalog.parsing import parse_catalog, read_catalog_text
from tritonops.models.config import copy_configs
from tritonops.models.configs.config_options import ConfigOptions
from tritonops.models.configs.pbtxt import parse_config, read_text_if_present
from tritonops.models.configs.rendering import LABELS, render_configs
from tritonops.models.configs.variants import VARIANTS, Variant, source_path
from tritonops.models.configs.version_policy import AS_IN_CATALOG, VersionPolicy, policy_note
from tritonops.models.generate_config import graph_file
from tritonops.models.graphs.examine import examine_graph
from tritonops.models.graphs.onnx_graph import Graph, missing_data, read_graph
from tritonops.models.install.small_files import match_small_files
from tritonops.models.install.staging import staged, staged_version
from tritonops.models.install.state import adopt_installed, install_state
from tritonops.models.sources.fetcher import Fetcher
from tritonops.models.sources.listing import Listing
from tritonops.models.transfer.progress import Progress
from tritonops.project import Project


@dataclass(frozen=True)
class Added:
    """The result of an addition."""

    entry: ModelVersion
    configs: tuple[Path, ...]
    """Those generated from the graph; none where there were configs, or the model is not ONNX."""
    variant: Variant | None
    """Which config of triton-config Triton reads: the other one's where the disk had that. None for neither."""
    problem: str | None = None
    """Why it reads none of triton-config."""
    keeps_config: bool = False
    """Whether a config on disk that is neither was kept."""
    notes: tuple[str, ...] = ()
    """What the reader of generated configs has to know, and which versions the config serves."""


def add_model(
    project: Project,
    name: str,
    values: Mapping[str, str | int],
    *,
    variant: Variant,
    options: ConfigOptions | None = None,
    progress: Progress | None = None,
) -> Added:
    """Write an entry into models.toml, pin it, download it, and give it a config.

    `values` are the keys of the entry; `triton_version` is the next free one unless given, a Hub revision becomes the
    commit that it is now, and a path is written as seen from models.toml. Where the source does not have what was
    asked for, models.toml is as it was before.
    """
    settings, progress = project.settings, progress or Progress()
    if "path" in values:
        values = {**values, "path": os.path.relpath(str(values["path"]), settings.models_toml.parent)}
    addition = _Addition(project, name, values, progress, variant, options)
    addition.preview()  # wrong input ends before any wait
    entry = addition.add()
    added = Added(entry, addition.written, None, addition.problem, notes=addition.notes)
    return added if added.problem else _copy_config(Project(settings), added, variant)


class _Addition:
    """One new version: everything is fetched first, and then one commit writes the entry, pins it and installs it."""

    def __init__(
        self,
        project: Project,
        name: str,
        values: Mapping[str, str | int],
        progress: Progress,
        variant: Variant,
        options: ConfigOptions | None,
    ) -> None:
        self._settings, self._name, self._values, self._progress = project.settings, name, values, progress
        self._variant, self._config_options = variant, options
        self.written: tuple[Path, ...] = ()
        """The configs that were generated from the graph."""
        self.problem: str | None = None
        """Why none could be."""
        self.notes: tuple[str, ...] = ()
        self._commits = Commits(project.settings.models_toml, on_wait=progress.waiting)
        self._store, self._repository = project.store, project.repository

    def preview(self) -> ModelVersion:
        """Read the entry as models.toml would have it now. Raises CatalogError where it is wrong."""
        text = read_catalog_text(self._settings.models_toml)
        return with_entry(self._settings.models_toml, text, self._name, self._numbered(text))[1]

    def _numbered(self, text: str) -> Mapping[str, str | int]:
        """The keys of the entry, with the next free version unless one was given."""
        taken = [entry.version for entry in parse_catalog(self._settings.models_toml, text).versions_of(self._name)]
        return {"triton_version": max(taken, default=0) + 1, **self._values}

    def add(self) -> ModelVersion:
        """Fetch, and commit. Raises SourceError and StoreError; then models.toml is as it was."""
        with (
            self._store.locked(f"adding {self._name}", on_wait=self._progress.waiting),
            Fetcher.of(self._settings, self._store, self._progress) as fetcher,
        ):
            entry = self.preview()
            try:
                fetched = self._fetched(entry, fetcher)
            except SourceError as exc:
                raise SourceError(f"{entry.label} was not added: {exc}", hint=exc.hint) from exc
            if fetched.commit:  # in place of the branch: the entry keeps meaning the same bytes
                self._values = {**self._values, "revision": fetched.commit}
            while not (added := self._commit(fetched)):
                pass  # another addition took the version meanwhile
            return added

    def _fetched(self, entry: ModelVersion, fetcher: Fetcher) -> Listing:
        """List and fetch the files; gives the listing with every SHA-256."""
        answer = fetcher.list_files([entry])[entry.label]
        if not isinstance(answer, Listing):
            raise answer
        listing = match_small_files(answer, self._repository)
        adopt_installed(self._store, listing, self._repository.version_dir(entry.name, entry.version))
        outcomes = fetcher.fetch(fetcher.missing_files(listing.files).values())
        for outcome in outcomes.values():
            if isinstance(outcome, TritonOpsError):
                raise outcome
        return listing.completed(outcomes)

    def _commit(self, fetched: Listing) -> ModelVersion | None:
        """Write the entry, pin it and install it, all in one commit; None where the version was taken meanwhile."""
        entry = self.preview()
        pin = replace(fetched, version=entry).locked(self._settings.models_toml, {})
        assert pin is not None, "every hash is known by now"
        found = install_state(self._store, pin, self._repository)
        if found != "installed":
            self._repository.refuse_link(pin.name)
        if found == "other bytes":
            folder = self._repository.version_dir(pin.name, pin.version)
            raise StoreError(
                f"{entry.label} was not added: {folder} contains other files", hint="Move them away first."
            )
        with staged(self._store, pin, self._repository) as swap:
            _refuse_what_is_no_model(entry, staged_version(pin, self._repository) / entry.local_name)
            texts = self._config_texts(pin, entry)  # trying batches takes seconds, and is done before the commit
            return self._commit_staged(entry, pin, texts, None if found == "installed" else swap)

    def _commit_staged(
        self, entry: ModelVersion, pin: LockedVersion, texts: Mapping[Path, str], swap: Callable[[], None] | None
    ) -> ModelVersion | None:
        with self._commits.locked():
            if self.preview().label != entry.label:
                return None
            values = {**self._values, "triton_version": entry.version}
            self._commits.edit_catalog(lambda text: with_entry(self._settings.models_toml, text, self._name, values)[0])
            try:
                self._pin(pin)
                if swap:
                    with self._repository.changing():
                        swap()
            except BaseException:
                self._commits.edit_catalog(lambda text: without_labels(self._settings.models_toml, text, {entry.label}))
                self._commits.drop_stale_pins()
                raise
            self._write_configs(texts)  # in the commit: nobody sees the entry without its configs
        return entry

    def _config_texts(self, pin: LockedVersion, entry: ModelVersion) -> Mapping[Path, str]:
        """Work out the configs from the graph, unless there are some; `problem` says why that was not possible."""
        self.problem, self.notes = None, ()
        options = self._config_options or ConfigOptions()
        if source_path(self._settings.config_dir, entry.name, self._variant).exists():
            if options != ConfigOptions():
                words = f"inv models.generate-config {quote(entry.name)} --overwrite"
                self.notes = (f"it has configs, so the options for generated ones were not used: `{words}` takes them",)
            return {}
        try:
            graph = graph_file(entry.name, staged_version(pin, self._repository) / entry.local_name)
            examined = examine_graph(graph, batches=options.max_batch_size != 0)
            folder = self._settings.config_dir / entry.name
            rendered = render_configs(examined, entry.local_name, folder, options=options)
        except TritonOpsError as exc:
            staging, target = staged_version(pin, self._repository), self._repository.version_dir(pin.name, pin.version)
            self.problem = str(exc).replace(str(staging), str(target))
            return {}
        self.notes = rendered.notes
        return rendered.texts

    def _write_configs(self, texts: Mapping[Path, str]) -> None:
        if present := [str(path) for path in texts if path.exists() and path.name != LABELS]:
            self.problem = f"not overwritten: {', '.join(present)}"
            return
        try:
            for path, text in texts.items():
                self._repository.write_source(path, text)
        except (TritonOpsError, OSError) as exc:
            self.problem = str(exc)
            return
        self.written = tuple(path for path in texts if path.name != LABELS)

    def _pin(self, pin: LockedVersion) -> None:
        try:
            self._commits.pin({pin.label: pin}, before=self._commits.pins)
        except OSError as exc:
            self._progress.warned(f"cannot write {self._settings.lock_path} ({exc.strerror}): nothing is pinned")


def _refuse_what_is_no_model(entry: ModelVersion, path: Path) -> None:
    """Raise SourceError for a file that would be installed as ONNX and is none, and for a graph without its weights."""
    graph_path = path / "model.onnx" if path.is_dir() else path
    if not entry.local_name.endswith(".onnx") or not graph_path.is_file():
        return
    try:
        graph = read_graph(graph_path)
    except GraphError as exc:
        name = _source_name(entry)
        reason = str(exc).removeprefix(f"{graph_path}: ")
        hint = f"Install it under its own name: --local-name {name}" if name and not name.endswith(".onnx") else None
        raise SourceError(
            f"{entry.label} was not added: {name or 'the file'} would be installed as {entry.local_name} and {reason}",
            hint=hint,
        ) from exc
    _refuse_missing_weights(entry, graph, graph_path)


def _refuse_missing_weights(entry: ModelVersion, graph: Graph, path: Path) -> None:
    missing = [data.location for data in missing_data(graph, path)]
    if missing:
        raise SourceError(
            f"{entry.label} was not added: its weights lie in {', '.join(dict.fromkeys(missing))}, "
            "which is not among what is fetched, or is cut short",
            hint="Add the folder with graph and weights (--subfolder, or --path of a folder); "
            "Triton reads the graph that is called model.onnx in it.",
        )


def _source_name(entry: ModelVersion) -> str:
    """Give the name of the file at its source."""
    match entry.source:
        case UrlSource(url=url):
            return Path(urlsplit(url).path).name
        case PathSource(path=path):
            return path.name
        case _:
            return Path(entry.path).name


def _copy_config(project: Project, added: Added, variant: Variant) -> Added:
    """Copy the config to where Triton reads. A disk that has the other variant's, of an earlier version, keeps that."""
    for each in (variant, *(other for other in VARIANTS if other != variant)):
        try:
            (outcome,) = copy_configs(project, variant=each, include=[added.entry.name])
        except TritonOpsError as exc:
            return replace(added, problem=str(exc))
        if outcome.error and each == variant:
            return replace(added, problem=outcome.error)
        if outcome.error is None and outcome.state != "differs":
            return replace(added, variant=each, notes=(*added.notes, *_served_versions(outcome.path)))
    path = project.repository.config_path(added.entry.name)
    return replace(added, problem=f"{path} is none of them, and was kept", keeps_config=True)


def _served_versions(config: Path | None) -> Iterator[str]:
    """Say which versions are served where the config lists those of models.toml."""
    text = read_text_if_present(config) if config else None
    if text and policy_note(text) == AS_IN_CATALOG:
        policy = VersionPolicy.of(parse_config(text))
        yield f"its config serves versions {policy} (`inv triton.serve` with `--versions latest:1`: the newest alone)"
