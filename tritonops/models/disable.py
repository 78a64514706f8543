"""Hide a model from Triton."""

from __future__ import annotations

from pathlib import Path

from tritonops.project import Project


def disable_model(project: Project, name: str) -> Path:
    """Move a model from triton/ to triton-disabled/, by one rename. Returns where it is now.

    A running server goes on serving it. `dependents.needed_by` says which models need it. Raises UnknownModelError,
    InputError where it is disabled already, and RepositoryError.
    """
    return project.repository.disable(name)
