"""Show a disabled model to Triton again."""

from __future__ import annotations

from pathlib import Path

from tritonops.project import Project


def enable_model(project: Project, name: str) -> Path:
    """Move a model from triton-disabled/ to triton/, by one rename. Returns where it is now.

    Raises UnknownModelError, InputError where it is enabled already, and RepositoryError.
    """
    return project.repository.enable(name)
