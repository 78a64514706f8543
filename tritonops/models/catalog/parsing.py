"""models.toml: which model versions should exist, and where each comes from."""

from __future__ import annotations

import os
from pathlib import Path

from tritonops.documents import MAX_TOML, abbreviate, parse_toml
from tritonops.errors import CatalogError, InputError, UnreadableFileError
from tritonops.files import expand_home, read_text
from tritonops.models.catalog import valid_values as valid
from tritonops.models.catalog.catalog import Catalog, HubSource, Kind, ModelSource, ModelVersion, PathSource, UrlSource
from tritonops.models.catalog.collisions import refuse_doubles, refuse_one_folder_for_two
from tritonops.models.catalog.keys import refuse_keys_of_others, refuse_unknown_keys, source_key
from tritonops.models.catalog.lines import statement_line
from tritonops.models.catalog.toml_entry import Entry, written_key


def load_catalog(path: Path) -> Catalog:
    """Read and check models.toml. Raises CatalogError, which names the entry, its key and its line."""
    return parse_catalog(path, read_catalog_text(path))


def parse_catalog(path: Path, text: str) -> Catalog:
    """Check the text of a models.toml that stands, or is to stand, at `path`. Raises CatalogError."""
    models = _models_of(path, text)
    entries = [
        Entry(path, text, key, index, values)
        for key, tables in models.items()
        for index, values in enumerate(_entries_of(path, text, key, tables))
    ]
    versions = tuple(_version(entry) for entry in entries)
    refuse_doubles(entries, versions)
    refuse_one_folder_for_two(entries, versions)
    return Catalog(path, versions)


def read_catalog_text(path: Path) -> str:
    """Read models.toml as it is, line ends and all. Raises CatalogError."""
    try:
        return read_text(path, MAX_TOML)
    except UnreadableFileError as exc:
        raise CatalogError(
            str(exc),
            hint="MODELS_TOML says where it is; an empty file is enough to begin with." if exc.missing else None,
        ) from exc


def _models_of(path: Path, text: str) -> dict[str, object]:
    try:
        document = parse_toml(text, path)
    except InputError as exc:
        raise CatalogError(str(exc)) from exc
    for key in document:
        if key != "models":
            where = f"{path}, line {statement_line(text, (key,))}"
            raise CatalogError(f"{where}: unknown key {abbreviate(key)}; models stand below [[models.NAME]]")
    models = document.get("models", {})
    if not isinstance(models, dict):
        line = statement_line(text, ("models",))
        raise CatalogError(f"{path}, line {line}: models: expected entries below [[models.NAME]]")
    return models


def _entries_of(path: Path, text: str, key: str, tables: object) -> list[dict[str, object]]:
    if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
        return tables
    line = statement_line(text, ("models", key))
    raise CatalogError(
        f"{path}, line {line}: models.{written_key(key)}: expected an array of tables, one for each version",
        hint=f"Write [[models.{written_key(key)}]], with two brackets.",
    )


def _version(entry: Entry) -> ModelVersion:
    refuse_unknown_keys(entry)
    kind = _kind(entry)
    source = source_key(entry)
    refuse_keys_of_others(entry, kind, source)
    return ModelVersion(
        name=_name(entry),
        version=entry.number("triton_version", valid.version),
        source=_source(entry, source),
        kind=kind,
        path=_path(entry, kind) if source == "repo_id" else "",
        local_name=entry.text("local_name", valid.file_name, "model.onnx"),
        place=(entry.key, entry.index),
        hosts=_hosts(entry),
        depends_on=_depends_on(entry),
    )


def _depends_on(entry: Entry) -> tuple[str, ...]:
    names = entry.values.get("depends_on", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise entry.error("depends_on", f"expected a list of model names, got {abbreviate(names)}")
    return tuple(names)


def _hosts(entry: Entry) -> tuple[str, ...]:
    hosts = entry.values.get("hosts", [])
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        raise entry.error("hosts", f"expected a list of hosts, targets and groups, got {abbreviate(hosts)}")
    return tuple(hosts)


def _name(entry: Entry) -> str:
    if "name" in entry.values:
        return entry.text("name", valid.model_name)
    try:
        return valid.model_name(entry.key)
    except ValueError as exc:
        raise entry.error("name", f"{abbreviate(entry.key)} {exc}") from exc


def _kind(entry: Entry) -> Kind:
    kind = entry.values.get("type", "single_file")
    if kind == "single_file":
        return "single_file"
    if kind == "directory":
        return "directory"
    raise entry.error("type", f'expected "single_file" or "directory", got {abbreviate(kind)}')


def _path(entry: Entry, kind: Kind) -> str:
    if kind == "directory":
        return entry.text("subfolder", valid.relative_path)
    return entry.text("model_path", valid.file_path)


def _source(entry: Entry, key: str) -> ModelSource:
    if key == "repo_id":
        return HubSource(entry.text("repo_id", valid.repo_id), entry.text("revision", valid.revision, "main"))
    if key == "url":
        return UrlSource(entry.text("url", valid.url), entry.text("sha256", valid.sha256))
    return PathSource(Path(os.path.abspath(entry.path.parent / expand_home(entry.text("path", valid.local_path)))))
