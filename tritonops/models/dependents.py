"""Which models of the disk need another one: ensembles have it as a step, others call it as models.toml declares."""

from __future__ import annotations

from pathlib import Path

from tritonops.documents import MAX_TOML
from tritonops.errors import UnreadableFileError
from tritonops.files import read_text
from tritonops.models.rules.hazards import ensembles_with
from tritonops.project import Project


def declared_callers(models_toml: Path) -> dict[str, tuple[str, ...]]:
    """Read from models.toml which models call which; nothing where there is no models.toml. Raises InputError.

    One that does not declare any is not parsed: it may be wrong elsewhere, and stands in no load's way.
    """
    try:
        text = read_text(models_toml, MAX_TOML)
    except UnreadableFileError as exc:
        if exc.missing:
            return {}
        raise
    if "depends_on" not in text:
        return {}
    from tritonops.models.catalog.parsing import parse_catalog

    return parse_catalog(models_toml, text).callers


def needed_by(project: Project, model: str) -> str:
    """Say what would not be served, or fail, without the model; "" for nothing. Raises CatalogError."""
    models_dir, models_toml = project.settings.models_dir, project.settings.models_toml
    ensembles = ", ".join(ensembles_with(models_dir, model))
    callers = ", ".join(name for name in declared_callers(models_toml).get(model, ()) if (models_dir / name).is_dir())
    sentences = [f"{model} is a step of {ensembles}, not served without it."] if ensembles else []
    sentences += [f"{model} is called by {callers}, which would fail without it."] if callers else []
    return " ".join(sentences)
