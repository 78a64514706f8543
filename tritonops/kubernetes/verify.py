"""Verify the models of an image: the files that a deploy of the release would install, and no others."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tritonops.errors import PartialFailureError
from tritonops.models.catalog.catalog import Catalog
from tritonops.models.catalog.lockfile import Lock
from tritonops.models.configs.declared import declared_text
from tritonops.models.configs.pbtxt import parse_config, read_text
from tritonops.models.configs.variants import Variant, label_files, read_labels, source_path
from tritonops.models.disk.repository import CONFIG_NAME
from tritonops.models.disk.store import file_sha256
from tritonops.project import Project

_OF_A_CHECKOUT = ".gitkeep"
"""The one file of a models directory that is no model's: git has it there, and Triton skips it."""


@dataclass(frozen=True)
class _ExpectedFile:
    """One file that the release has."""

    size: int
    sha256: str
    if_different: str
    """What to say of a file with other bytes."""

    @classmethod
    def of_text(cls, text: str, source: Path) -> _ExpectedFile:
        data, path = text.encode(), "/".join(source.parts[-3:])
        return cls(len(data), hashlib.sha256(data).hexdigest(), f"is not what {path} gives")


def verify(project: Project, *, variant: Variant) -> tuple[int, int]:
    """Compare the models directory with the release; give the number of its files, and their bytes.

    Nothing is written. Raises PartialFailureError with exit code 2 that names each model and file that differ.
    """
    root = project.settings.models_dir
    files = {**_pinned(project.lock), **_configs(project.catalog, project.settings.config_dir, variant)}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reasons = zip(files, pool.map(lambda path: _difference(root / path, files[path]), files), strict=True)
        failures = {path: reason for path, reason in reasons if reason}
    failures |= dict(_surplus(root, files))
    if failures:
        raise PartialFailureError(
            "the image does not have the models of this release",
            dict(sorted(failures.items())),
            hint="Build the image again from this checkout, and give its digest as models_image: docs/kubernetes.md.",
            exit_code=2,
        )
    return len(files), sum(each.size for each in files.values())


def _pinned(lock: Lock) -> dict[str, _ExpectedFile]:
    return {
        f"{pin.label}/{file.path}": _ExpectedFile(file.size, file.sha256, "has other bytes than models.lock says")
        for pin in lock.values()
        for file in pin.files
    }


def _configs(catalog: Catalog, config_dir: Path, variant: Variant) -> dict[str, _ExpectedFile]:
    """List each config.pbtxt and its labels, as `inv models.config` writes them."""
    found = dict[str, _ExpectedFile]()
    for name in catalog.names:
        source = source_path(config_dir, name, variant)
        text = read_text(source)
        found[f"{name}/{CONFIG_NAME}"] = _ExpectedFile.of_text(declared_text(catalog, name, text), source)
        for labels in label_files(parse_config(text, where=str(source)), source.parent):
            found[f"{name}/{labels.name}"] = _ExpectedFile.of_text(read_labels(labels), labels)
    return found


def _difference(path: Path, expected: _ExpectedFile) -> str | None:
    """Say how a file differs from the release; None where it does not."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return "is a link" if stat.S_ISLNK(found.st_mode) else "is not a file"
        is_same = found.st_size == expected.size and file_sha256(path) == expected.sha256
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"
    return None if is_same else expected.if_different


def _surplus(root: Path, files: dict[str, _ExpectedFile]) -> Iterator[tuple[str, str]]:
    """Find what the release does not have: Triton would serve more than it says. Such a folder is named alone."""
    folders = {str(above) for path in files for above in PurePosixPath(path).parents}
    unseen = [root]
    while unseen:
        for found in sorted(unseen.pop().iterdir()):
            path = found.relative_to(root).as_posix()
            if path in folders and found.is_dir():
                if found.is_symlink():
                    yield f"{path}/", "is a link"
                else:
                    unseen.append(found)
            elif path not in files and path != _OF_A_CHECKOUT:
                yield f"{path}/" if found.is_dir() else path, "is not in the release"
