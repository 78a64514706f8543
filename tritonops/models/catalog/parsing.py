"""models.toml: which model versions should exist, and where each comes from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

from tritonops.documents import MAX_TOML, abbreviate, parse_toml
from tritonops.errors import CatalogError, InputError, UnreadableFileError, near_misses
from tritonops.files import expand_home, read_text
from tritonops.models.catalog import rules
from tritonops.models.catalog.catalog import Catalog, HubSource, Kind, ModelSource, ModelVersion, PathSource, UrlSource
from tritonops.models.catalog.lines import entry_line, statement_line


def load_catalog(path: Path) -> Catalog:
    """Read and check models.toml. Raises CatalogError, which names the entry, its key and its line."""
    return parse_catalog(path, read_catalog_text(path))


def parse_catalog(path: Path, text: str) -> Catalog:
    """Check the text of a models.toml that stands, or is to stand, at `path`. Raises CatalogError."""
    models = _models_of(path, text)
    entries = [
        _Entry(path, text, key, index, values)
        for key, tables in models.items()
        for index, values in enumerate(_entries_of(path, text, key, tables))
    ]
    versions = tuple(_version(entry) for entry in entries)
    _refuse_doubles(entries, versions)
    _refuse_one_folder_for_two(entries, versions)
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
        f"{path}, line {line}: models.{_written(key)}: expected an array of tables, one for each version",
        hint=f"Write [[models.{_written(key)}]], with two brackets.",
    )


def _refuse_doubles(entries: Sequence[_Entry], versions: Sequence[ModelVersion]) -> None:
    seen: dict[tuple[str, int], _Entry] = {}
    for entry, version in zip(entries, versions, strict=True):
        first = seen.setdefault((version.name, version.version), entry)
        if first is not entry:
            raise entry.error(
                "triton_version",
                f"{version.label} is a duplicate of {first.where} at line {first.line}",
            )


def _refuse_one_folder_for_two(entries: Sequence[_Entry], versions: Sequence[ModelVersion]) -> None:
    """Refused on every filesystem, so that what one person commits works for the next."""
    seen: dict[str, tuple[_Entry, str]] = {}
    for entry, version in zip(entries, versions, strict=True):
        first, name = seen.setdefault(_folded(version.name), (entry, version.name))
        if name != version.name:
            raise entry.error(
                "name",
                f"{version.name!r} is one folder with {name!r} of line {first.line} where the filesystem ignores case",
                hint="Rename one of the two models.",
            )


def _folded(name: str) -> str:
    """The same for names that are one to macOS or Windows: in case, or in how an accented letter is composed."""
    if name.isascii():
        return name.casefold()
    import unicodedata

    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


_T = TypeVar("_T", str, int)
_SOURCE_KEYS = {"repo_id": {"revision", "model_path", "subfolder"}, "url": {"sha256"}, "path": set[str]()}
_KIND_KEYS: dict[object, str] = {"single_file": "model_path", "directory": "subfolder"}
_OWN_KEYS = {"name", "triton_version", "type", "local_name", "hosts", "depends_on"}
_KEYS = {*_OWN_KEYS, *_SOURCE_KEYS, *chain.from_iterable(_SOURCE_KEYS.values())}


@dataclass(frozen=True)
class _Entry:
    """One table of models.toml, as it was written, and where."""

    path: Path
    document: str
    key: str
    index: int
    values: Mapping[str, object]

    @property
    def line(self) -> int:
        return entry_line(self.document, (self.key, self.index))

    @property
    def where(self) -> str:
        return f"models.{_written(self.key)}[{self.index}]"

    def error(self, key: str, problem: str, *, hint: str | None = None) -> CatalogError:
        return CatalogError(f"{self.path}, line {self.line}: {self.where}: {_written(key)}: {problem}", hint=hint)

    def text(self, key: str, rule: Callable[[str], str], default: str | None = None) -> str:
        return self._checked(key, str, "a string", rule, default)

    def number(self, key: str, rule: Callable[[int], int]) -> int:
        return self._checked(key, int, "an integer", rule, None)

    def _checked(self, key: str, kind: type[_T], expected: str, rule: Callable[[_T], _T], default: _T | None) -> _T:
        value = self.values.get(key, default)
        if value is None:
            raise self.error(key, "is missing")
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(key, f"expected {expected}, got {abbreviate(value)}")
        try:
            return rule(value)
        except ValueError as exc:
            raise self.error(key, f"{abbreviate(value)} {exc}") from exc


def _written(key: str) -> str:
    """Write a key as TOML would, so that no character of it plays tricks on the reader's terminal."""
    return key if re.fullmatch(r"[\w-]{1,80}", key, re.ASCII) else abbreviate(key)


def _version(entry: _Entry) -> ModelVersion:
    _refuse_unknown_keys(entry)
    kind = _kind(entry)
    source_key = _source_key(entry)
    _refuse_keys_of_others(entry, kind, source_key)
    return ModelVersion(
        name=_name(entry),
        version=entry.number("triton_version", rules.version),
        source=_source(entry, source_key),
        kind=kind,
        path=_path(entry, kind) if source_key == "repo_id" else "",
        local_name=entry.text("local_name", rules.file_name, "model.onnx"),
        place=(entry.key, entry.index),
        hosts=_hosts(entry),
        depends_on=_depends_on(entry),
    )


def _depends_on(entry: _Entry) -> tuple[str, ...]:
    names = entry.values.get("depends_on", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise entry.error("depends_on", f"expected a list of model names, got {abbreviate(names)}")
    return tuple(names)


def _hosts(entry: _Entry) -> tuple[str, ...]:
    hosts = entry.values.get("hosts", [])
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        raise entry.error("hosts", f"expected a list of hosts, targets and groups, got {abbreviate(hosts)}")
    return tuple(hosts)


def _name(entry: _Entry) -> str:
    if "name" in entry.values:
        return entry.text("name", rules.model_name)
    try:
        return rules.model_name(entry.key)
    except ValueError as exc:
        raise entry.error("name", f"{abbreviate(entry.key)} {exc}") from exc


def _kind(entry: _Entry) -> Kind:
    kind = entry.values.get("type", "single_file")
    if kind == "single_file":
        return "single_file"
    if kind == "directory":
        return "directory"
    raise entry.error("type", f'expected "single_file" or "directory", got {abbreviate(kind)}')


def _path(entry: _Entry, kind: Kind) -> str:
    if kind == "directory":
        return entry.text("subfolder", rules.relative_path)
    return entry.text("model_path", rules.file_path)


def _source_key(entry: _Entry) -> str:
    given = [key for key in _SOURCE_KEYS if key in entry.values]
    if not given:
        raise entry.error("repo_id", "is missing; so are url and path, and one of them says where the model comes from")
    if len(given) > 1:
        raise entry.error(given[1], f"conflicts with {given[0]}: a model has one source")
    return given[0]


def _source(entry: _Entry, key: str) -> ModelSource:
    if key == "repo_id":
        return HubSource(entry.text("repo_id", rules.repo_id), entry.text("revision", rules.revision, "main"))
    if key == "url":
        return UrlSource(entry.text("url", rules.url), entry.text("sha256", rules.sha256))
    return PathSource(Path(os.path.abspath(entry.path.parent / expand_home(entry.text("path", rules.local_path)))))


def _refuse_unknown_keys(entry: _Entry) -> None:
    for key in entry.values:
        if key not in _KEYS:
            raise entry.error(key, "is not a key that models.toml knows", hint=near_misses(key, _KEYS, "keys"))


def _refuse_keys_of_others(entry: _Entry, kind: Kind, source_key: str) -> None:
    """A key that would be ignored is a mistake: `subfolder` for a single file, `sha256` with `repo_id`."""
    for key in entry.values:
        owner = next((source for source, keys in _SOURCE_KEYS.items() if key in keys), source_key)
        if owner != source_key:
            raise entry.error(key, f"goes with {owner}, not with {source_key}")
        if key in _KIND_KEYS.values() and key != _KIND_KEYS[kind]:
            raise entry.error(key, f'does not go with type = "{kind}", which takes {_KIND_KEYS[kind]}')
    if source_key == "url" and kind == "directory":
        raise entry.error("type", "a URL is one file; a directory comes from repo_id or path")
