"""The keys of an entry of models.toml, and which of them go together."""

from __future__ import annotations

from itertools import chain

from tritonops.errors import near_misses
from tritonops.models.catalog.catalog import Kind
from tritonops.models.catalog.toml_entry import Entry

_SOURCE_KEYS = {"repo_id": {"revision", "model_path", "subfolder"}, "url": {"sha256"}, "path": set[str]()}
_KIND_KEYS: dict[object, str] = {"single_file": "model_path", "directory": "subfolder"}
_OWN_KEYS = {"name", "triton_version", "type", "local_name", "hosts", "depends_on"}
_KEYS = {*_OWN_KEYS, *_SOURCE_KEYS, *chain.from_iterable(_SOURCE_KEYS.values())}


def source_key(entry: Entry) -> str:
    """Find the key that says where a model comes from. Raises CatalogError."""
    given = [key for key in _SOURCE_KEYS if key in entry.values]
    if not given:
        raise entry.error("repo_id", "is missing; so are url and path, and one of them says where the model comes from")
    if len(given) > 1:
        raise entry.error(given[1], f"conflicts with {given[0]}: a model has one source")
    return given[0]


def refuse_unknown_keys(entry: Entry) -> None:
    """Raise CatalogError for a key that models.toml does not know."""
    for key in entry.values:
        if key not in _KEYS:
            raise entry.error(key, "is not a key that models.toml knows", hint=near_misses(key, _KEYS, "keys"))


def refuse_keys_of_others(entry: Entry, kind: Kind, source: str) -> None:
    """Raise CatalogError for a key that would be ignored: `subfolder` for a single file, `sha256` with `repo_id`."""
    for key in entry.values:
        owner = next((other for other, keys in _SOURCE_KEYS.items() if key in keys), source)
        if owner != source:
            raise entry.error(key, f"goes with {owner}, not with {source}")
        if key in _KIND_KEYS.values() and key != _KIND_KEYS[kind]:
            raise entry.error(key, f'does not go with type = "{kind}", which takes {_KIND_KEYS[kind]}')
    if source == "url" and kind == "directory":
        raise entry.error("type", "a URL is one file; a directory comes from repo_id or path")
