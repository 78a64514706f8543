"""How long a model may take to load when a server starts."""

from __future__ import annotations

from pathlib import Path

MODEL_TIMEOUT = 60.0
_BYTES_PER_SECOND = 20_000_000


def load_timeout(model: Path) -> float:
    """Give the seconds that the load of a model may take: 60, or more for large files."""
    sizes = (path.stat().st_size for path in model.rglob("*") if path.is_file())
    return max(MODEL_TIMEOUT, sum(sizes) / _BYTES_PER_SECOND)
