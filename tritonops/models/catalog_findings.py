"""Findings that belong to models.toml, models.lock and the folders as a whole, and to the sources of models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tritonops.errors import SourceChangedError, TritonOpsError
from tritonops.models.catalog.lockfile import differences, load_lock
from tritonops.models.checked import Checked
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.rules.files import absent
from tritonops.models.rules.finding import Finding, Problem, finding_of
from tritonops.models.sources.path_source import source_problems


def catalog_findings(checked: Checked, include: Sequence[str]) -> Iterator[Finding]:
    """Find what belongs to no one model: the lock, configs of models that are nowhere, and links to nothing.

    Where only some models are checked, what is about them: their entries in the lock, and what concerns every model.
    """
    for path in _dangling(checked.repository.root):
        why = "Triton lists no model, good ones neither: 'failed to stat file'"
        yield finding_of(path.name, (path,), Problem("dangling-link", absent(path), why, "remove the link"))
    if not checked.lock_path.exists():
        yield _lock_finding(checked, checked.lock_path.name, "there is no such file, so nothing is pinned")
    else:
        for label, what in differences(checked.catalog, load_lock(checked.lock_path)).items():
            if not include or label.rpartition("/")[0] in include:
                yield _lock_finding(checked, label.rpartition("/")[0], f"{label} {what}")
    folders = sorted(path for path in checked.config_dir.glob("*") if path.is_dir())
    for folder in (folder for folder in folders if folder.name not in checked.names and not include):
        problem = Problem(
            "config-without-model",
            "models.toml has no such model",
            "nothing copies the config anywhere",
            f"add the model to {checked.catalog.path.name}, or remove the folder",
            "warning",
        )
        yield finding_of(folder.name, (folder,), problem)


def _dangling(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_symlink() and not path.exists())


def _lock_finding(checked: Checked, model: str, what: str) -> Finding:
    why = "a download takes what the source has on that day"
    return finding_of(model, (checked.lock_path,), Problem("not-locked", what, why, "`inv models.lock`", "warning"))


def source_findings(checked: Checked) -> Iterator[Finding]:
    """Compare the files of this machine that models.toml names with their pins."""
    digests = DigestCache(checked.memory / "digests.json")
    for label, error in source_problems(checked.catalog, load_lock(checked.lock_path), digests).items():
        yield _source_finding(checked, label, error)


def _source_finding(checked: Checked, label: str, error: TritonOpsError) -> Finding:
    is_changed = isinstance(error, SourceChangedError)
    problem = Problem(
        "source-changed" if is_changed else "source-unreadable",
        f"{label}: {error}",
        "what was locked goes on being served" if is_changed else "nobody knows whether it is what was locked",
        error.hint or f"see whether {checked.catalog.path.name} names the right path",
        "error" if is_changed else "warning",
    )
    return finding_of(label.rpartition("/")[0], (checked.lock_path,), problem)
