"""models.toml as the pods get it: the same whatever its comments and its order are, so that these start no rollout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tritonops.documents import toml_key, toml_string
from tritonops.models.catalog.catalog import HubSource, ModelVersion, UrlSource


def format_catalog(versions: Iterable[ModelVersion], folder: Path) -> str:
    """Write these entries, sorted, for a models.toml in `folder`.

    `hosts` is left out, since the entries are those for the target.
    """
    ordered = sorted(versions, key=lambda version: (version.name, version.version))
    return "\n".join("".join(f"{line}\n" for line in _entry(version, folder)) for version in ordered)


def _entry(version: ModelVersion, folder: Path) -> Iterator[str]:
    yield f"[[models.{toml_key(version.name)}]]"
    yield f"triton_version = {version.version}"
    if version.kind == "directory":
        yield 'type = "directory"'
    yield from _source(version, folder)
    yield f"local_name = {toml_string(version.local_name)}"
    if version.depends_on:
        yield f"depends_on = [{', '.join(map(toml_string, version.depends_on))}]"


def _source(version: ModelVersion, folder: Path) -> Iterator[str]:
    source = version.source
    if isinstance(source, HubSource):
        yield f"repo_id = {toml_string(source.repo_id)}"
        yield f"revision = {toml_string(source.revision)}"
        key = "subfolder" if version.kind == "directory" else "model_path"
        yield f"{key} = {toml_string(version.path or '.')}"
    elif isinstance(source, UrlSource):
        yield f"url = {toml_string(source.url)}"
        yield f"sha256 = {toml_string(source.sha256)}"
    else:
        is_below = source.path.is_relative_to(folder)
        path = source.path.relative_to(folder) if is_below else source.path
        yield f"path = {toml_string(path.as_posix())}"
