"""Which models of the disk need another one: ensembles have it as a step, others call it as models.toml declares."""

from __future__ import annotations

from pathlib import Path

from tritonops.models.catalog import declared_callers
from tritonops.models.check.hazards import ensembles_with


def needed_by(models_dir: Path, models_toml: Path, model: str) -> str:
    """Say what would not be served, or fail, without the model; "" for nothing. Raises CatalogError."""
    ensembles = ", ".join(ensembles_with(models_dir, model))
    callers = ", ".join(name for name in declared_callers(models_toml).get(model, ()) if (models_dir / name).is_dir())
    sentences = [f"{model} is a step of {ensembles}, not served without it."] if ensembles else []
    sentences += [f"{model} is called by {callers}, which would fail without it."] if callers else []
    return " ".join(sentences)
