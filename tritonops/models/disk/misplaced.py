"""A TRITON_MODELS_DIR that is one level off: the folder of a single model, or one above the folder of all models."""

from __future__ import annotations

from pathlib import Path

from tritonops.errors import InputError
from tritonops.models.disk.repository import CONFIG_NAME, Repository


def refuse_misplaced(models_dir: Path) -> None:
    """Raise InputError where the folder's contents show that its parent, or one of its folders, is meant."""
    folders = [models_dir / name for name in Repository(models_dir).enabled_names()]
    if (models_dir / CONFIG_NAME).is_file():
        raise _too_deep(models_dir, f"it has a {CONFIG_NAME}")
    if any(map(_is_model, folders)):
        return
    if versions := [folder for folder in folders if _is_version(folder)]:
        raise _too_deep(models_dir, f"its folder {versions[0].name} is a version")
    for folder in folders:
        if not folder.name.endswith("-disabled") and any(map(_is_model, _folders(folder))):
            raise InputError(
                f"TRITON_MODELS_DIR is one level too high: {models_dir} has no models, its folder {folder.name} has",
                hint=f"Set it to {folder}",
            )


def _too_deep(models_dir: Path, why: str) -> InputError:
    return InputError(
        f"TRITON_MODELS_DIR is one level too deep: {models_dir} is a model itself ({why})",
        hint=f"Set it to {models_dir.parent}",
    )


def _is_model(folder: Path) -> bool:
    return (folder / CONFIG_NAME).is_file() or any(map(_is_version, _folders(folder)))


def _is_version(folder: Path) -> bool:
    return folder.name.isdecimal() and any(folder.iterdir())


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []
