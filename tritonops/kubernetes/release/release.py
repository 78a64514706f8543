"""The release of a target: the files that its pods prepare their models from, and what they have to serve."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path("/release")
"""Where the init container finds the files."""
CONFIGS = "triton-config"


@dataclass(frozen=True)
class Release:
    """What the pods of a target get, and what they have to serve."""

    files: Mapping[str, bytes]
    """By their path below FOLDER, sorted."""
    expected: tuple[tuple[str, int], ...]
    """Each version that Triton has to serve, by the name of its model."""
    images: tuple[str, ...]
    """Triton's, that of the init container and, where the target names one, that of the models."""
    size: int
    """Bytes of all files of the models."""
    models_image: str | None = None
    """The image that pods mount the models from; None where they download them."""

    @cached_property
    def digest(self) -> str:
        """A digest of the lock, the configs and the images: the name of the release's folder in a volume."""
        digest = hashlib.sha256()
        for part in (*self.images, *(f"{path}\0{hashlib.sha256(data).hexdigest()}" for path, data in self._files)):
            digest.update(f"{part}\n".encode())
        return digest.hexdigest()[:16]

    @property
    def _files(self) -> list[tuple[str, bytes]]:
        return sorted(self.files.items())
