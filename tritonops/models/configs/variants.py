"""The config of a model in triton-config/: `gpu.pbtxt` and `cpu.pbtxt`, with their label files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tritonops.files import read_text as read_file_text
from tritonops.models.configs.pbtxt import ModelConfig

MAX_LABELS = 16 << 20
"""Bytes of a file of class names."""
Variant = Literal["cpu", "gpu"]
VARIANTS: tuple[Variant, ...] = ("gpu", "cpu")


def source_path(config_dir: Path, name: str, variant: Variant) -> Path:
    """Where the config of a model is written down."""
    return config_dir / name / f"{variant}.pbtxt"


def label_files(config: ModelConfig, folder: Path) -> list[Path]:
    """List the files of a folder that `label_filename` names: Triton reads them from the config's folder."""
    names = {output.label_filename for output in config.output}
    files = (folder / name for name in sorted(names) if name and Path(name).name == name)
    return [file for file in files if file.exists() or file.is_symlink()]


def read_labels(path: Path) -> str:
    """Read a file of class names. Raises UnreadableFileError."""
    return read_file_text(path, MAX_LABELS)
