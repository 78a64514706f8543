"""Options of a generated config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ConfigOptions:
    """Options of a config that its graph does not determine."""

    max_batch_size: int | None = None
    """None: 8 where batches are proved, else 0."""
    dynamic_batching: bool = False
    """Enable dynamic batching."""
    warmup: bool = False
    """Add a warm-up request (dynamic dimensions are 1)."""
    labels: Path | None = None
    """A file of class names, one a line, for the first output."""
