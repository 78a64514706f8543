"""The folder of a target's manifests, for `kubectl apply -k`: a file for each object, and their kustomization."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tritonops.errors import InputError, TritonOpsError
from tritonops.files import read_bytes, read_text
from tritonops.kubernetes.manifests.names import Manifest
from tritonops.kubernetes.manifests.yaml_text import yaml_text

HEADER = "# Rendered by `inv kubernetes.render`: edit kubernetes.toml, and render again.\n"
_KUSTOMIZATION, _PATCH = "kustomization.yaml", "patch.yaml"
MAX_PATCH = 1 << 20


def folder_files(objects: Sequence[Manifest], patch: Path | None) -> dict[str, str]:
    """Write the files by their names. Raises UnreadableFileError for the patch."""
    files = {name: HEADER + yaml_text(each) for name, each in _named(objects)}
    kustomization: Manifest = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [*files],
    }
    if patch:
        files[_PATCH] = f"{HEADER}# A copy of {patch.name}.\n{read_text(patch, MAX_PATCH)}"
        kustomization["patches"] = [{"path": _PATCH}]
    return {_KUSTOMIZATION: HEADER + yaml_text(kustomization), **files}


def _named(objects: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Name the file of each object by its kind, and number those of which there are several."""
    kinds, seen = Counter(each["kind"] for each in objects), Counter[str]()
    for each in objects:
        kind = each["kind"]
        seen[kind] += 1
        number = f"-{seen[kind]}" if kinds[kind] > 1 else ""
        yield f"{kind.lower()}{number}.yaml", each


def write_folder(folder: Path, files: Mapping[str, str]) -> bool:
    """Make a folder have these files and no others, by one rename; False where it is so already.

    Raises InputError where the folder has a file that was not rendered, and TritonOpsError where it cannot be written.
    """
    before = _rendered_files(folder)
    if before == {name: text.encode() for name, text in files.items()}:
        return False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as work:
            _replace(folder, Path(work), files)
    except OSError as exc:
        raise TritonOpsError(f"cannot write {folder}: {exc.strerror}") from exc
    return True


def _replace(folder: Path, work: Path, files: Mapping[str, str]) -> None:
    new, old = work / "new", work / "old"
    new.mkdir()
    for name, text in files.items():
        (new / name).write_bytes(text.encode())
    if not folder.exists():
        new.rename(folder)
        return
    shutil.copymode(folder, new)
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise


def _rendered_files(folder: Path) -> dict[str, bytes] | None:
    """Read the files of an earlier render; None where there is no folder."""
    if not folder.exists() and not folder.is_symlink():
        return None
    if folder.is_symlink() or not folder.is_dir():
        raise InputError(f"{folder} is not a folder", hint="--output names the folder above it.")
    found = {path.name: _rendered(path) for path in sorted(folder.iterdir())}
    return found or None


def _rendered(path: Path) -> bytes:
    data = b"" if path.is_dir() or path.is_symlink() else read_bytes(path, 1 << 24)
    if not data.startswith(HEADER.encode()):
        raise InputError(
            f"{path} was not rendered, and the folder would be replaced", hint="Move it away, or render to another one."
        )
    return data
