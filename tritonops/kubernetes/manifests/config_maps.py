"""The files of a release and the shell programs as ConfigMaps: immutable, and named by their content.

So a pod of an earlier revision goes on finding the files of its own release.
"""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count

from tritonops.errors import InputError
from tritonops.kubernetes.manifests.names import Manifest, files_map, manifest, metadata, scripts_map
from tritonops.kubernetes.manifests.scripts import digest
from tritonops.kubernetes.release.release import Release
from tritonops.kubernetes.targets.target import Target

MAX_BYTES = 900_000
"""Bytes of keys and values in one ConfigMap: it may have 1,048,576 in all."""
_MOST_MAPS = 99
_MAX_KEY = 200


@dataclass(frozen=True)
class FilesMap:
    """One ConfigMap of a release, and the path of each key's file below the release's folder."""

    manifest: Manifest
    paths: Mapping[str, str]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest["metadata"]["name"])


def release_maps(target: Target, release: Release) -> list[FilesMap]:
    """Split the files of a release, in their order. Raises InputError for one that is too large for a ConfigMap."""
    keys = dict(zip(release.files, _keys(release.files), strict=True))
    maps = [_files_map(target, release, keys, *part) for part in enumerate(_parts(release.files, keys), 1)]
    if len(maps) > _MOST_MAPS:
        raise InputError(
            f"the release of {target.name} has {sum(map(len, release.files.values())):,} bytes of configs and sources: "
            f"{_MOST_MAPS} ConfigMaps cannot have them",
            hint="`hosts` of models.toml and several targets divide the models.",
        )
    return maps


def scripts_config_map(target: Target, programs: Mapping[str, str]) -> Manifest:
    """Write the ConfigMap of the shell programs."""
    return manifest(
        "v1", "ConfigMap", metadata(target, scripts_map(target, digest(programs))), immutable=True, data=dict(programs)
    )


def _files_map(target: Target, release: Release, keys: Mapping[str, str], number: int, paths: list[str]) -> FilesMap:
    texts, binaries = dict[str, str](), dict[str, str]()
    for path in paths:
        text = _text(release.files[path])
        if text is None:
            binaries[keys[path]] = base64.b64encode(release.files[path]).decode()
        else:
            texts[keys[path]] = text
    parts = {name: values for name, values in (("data", texts), ("binaryData", binaries)) if values}
    name = files_map(target, release.digest, number)
    written = manifest("v1", "ConfigMap", metadata(target, name), immutable=True, **parts)
    return FilesMap(written, {keys[path]: path for path in paths})


def _text(data: bytes) -> str | None:
    """Decode text; None for what `data` of a ConfigMap would not keep as it is."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _parts(files: Mapping[str, bytes], keys: Mapping[str, str]) -> Iterator[list[str]]:
    paths, size = list[str](), 0
    for path, data in files.items():
        added = len(keys[path]) + len(data)
        if added > MAX_BYTES:
            raise InputError(
                f"{path} has {len(data):,} bytes, and a ConfigMap can have {MAX_BYTES:,}",
                hint="`hosts` of models.toml and several targets divide models.toml and models.lock."
                if "/" not in path
                else None,
            )
        if paths and size + added > MAX_BYTES:
            yield paths
            paths, size = [], 0
        paths.append(path)
        size += added
    if paths:
        yield paths


def _keys(paths: Mapping[str, bytes]) -> Iterator[str]:
    """Name each file by its path, in the characters that a key may have; the same name again gets a number."""
    seen, numbers = set[str](), defaultdict[str, "count[int]"](lambda: count(2))
    for path in paths:
        name = re.sub(r"[^-.\w]", ".", path.replace("/", "."), flags=re.ASCII)[-_MAX_KEY:].lstrip(".")
        numbered = (f"{name}.{number}" for number in numbers[name])
        key = next(key for key in chain([name], numbered) if key not in seen)
        seen.add(key)
        yield key
