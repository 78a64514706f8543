"""From triton-config/<model>/{cpu,gpu}.pbtxt to the config.pbtxt that Triton reads."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tritonops.errors import DifferenceError, PartialFailureError, TritonOpsError
from tritonops.files import read_text_if_present
from tritonops.models.catalog.catalog import Catalog
from tritonops.models.catalog.commit import Commits
from tritonops.models.configs.declared import declared_text, keep_policy, served_policy
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.configs.pbtxt import read_text_if_present as read_config_if_present
from tritonops.models.configs.variants import MAX_LABELS, Variant, label_files, read_labels, source_path
from tritonops.models.configs.version_policy import (
    AS_IN_CATALOG,
    VersionPolicy,
    has_policy,
    policy_note,
    set_version_policy,
)
from tritonops.models.disk.repository import Repository
from tritonops.project import Project

ConfigState = Literal["written", "replaced", "unchanged", "differs", "failed"]


@dataclass(frozen=True)
class ConfigResult:
    """The result of one model's config."""

    name: str
    state: ConfigState
    path: Path | None = None
    """The config.pbtxt; None where it failed."""
    diff: str = ""
    """From the current file to the declared one, where they differ."""
    kept_policy: VersionPolicy | None = None
    """The policy set with triton.serve, which the config on disk keeps."""
    waiting: bool = False
    """The model is not on disk yet; its config is installed together with it."""
    error: str | None = None


def copy_configs(
    project: Project,
    *,
    variant: Variant,
    include: Sequence[str] = (),
    overwrite: bool = False,
) -> tuple[ConfigResult, ...]:
    """Copy the configs of the models in `include`, or of all, to the models.

    One that differs from its source is replaced only with `overwrite`. A model that was removed from models.toml
    meanwhile gets none. One model's failure does not keep the others from being done: see `raise_unless_done`.
    """
    names = dict.fromkeys(version.name for version in project.catalog.select(include))
    repository, config_dir = project.repository, project.settings.config_dir
    commits = Commits(project.settings.models_toml)
    with commits.locked():
        now = commits.catalog
        return tuple(
            _outcome(now, repository, name, source_path(config_dir, name, variant), overwrite=overwrite)
            for name in names
        )


def raise_unless_done(outcomes: Sequence[ConfigResult]) -> None:
    """Raise PartialFailureError if some failed, or else DifferenceError if some were left as they are."""
    if failures := {outcome.name: outcome.error for outcome in outcomes if outcome.error is not None}:
        raise PartialFailureError(f"{len(failures)} of {len(outcomes)} configs were not copied", failures)
    if different := [outcome.name for outcome in outcomes if outcome.state == "differs"]:
        raise DifferenceError(
            f"the config on disk is not the one of triton-config: {', '.join(different)}",
            hint="--overwrite replaces it.",
        )


def _outcome(catalog: Catalog, repository: Repository, name: str, source: Path, *, overwrite: bool) -> ConfigResult:
    try:
        if name not in catalog.names:
            return ConfigResult(name, "failed", error=f"it was removed from {catalog.path.name} meanwhile")
        text = read_config_if_present(source)
        if text is None:
            return ConfigResult(name, "failed", error=f"there is no {source}")
        labels = label_files(parse_config(text, where=str(source)), source.parent)
        diff = "\n".join(_copy_label_file(repository, name, file, overwrite=overwrite) for file in labels).strip("\n")
        outcome = _copy_config(repository, name, declared_text(catalog, name, text), overwrite=overwrite)
        return replace(outcome, state="differs", diff=f"{outcome.diff}\n{diff}".strip("\n")) if diff else outcome
    except TritonOpsError as exc:
        return ConfigResult(name, "failed", error=str(exc))


def _copy_label_file(repository: Repository, name: str, source: Path, *, overwrite: bool) -> str:
    """Copy labels to the config's folder; return the difference where edited ones stay."""
    declared, target = read_labels(source), repository.config_path(name).with_name(source.name)
    current = read_text_if_present(target, MAX_LABELS)
    if current == declared:
        return ""
    if current is None or overwrite or repository.is_written(name, source.name):
        repository.write_config(name, declared, file_name=source.name)
        return ""
    return _diff(current, declared, target)


def _copy_config(repository: Repository, name: str, declared: str, *, overwrite: bool) -> ConfigResult:
    path = repository.config_path(name)
    waiting = path == repository.pending_config(name)
    current = read_config_if_present(path)
    declared = keep_policy(current or "", declared)
    # A pending config was never served, so the newest variant overwrites it.
    state = _state(current, declared, overwrite=overwrite or waiting or _differ_in_versions(current or "", declared))
    if state in ("written", "replaced"):
        path = repository.write_config(name, declared, expected=current)
    diff = "" if current is None else _diff(current, declared, path)
    return ConfigResult(name, state, path, diff, served_policy(declared), waiting)


def _differ_in_versions(current: str, declared: str) -> bool:
    """Whether only the versions that models.toml lists differ: these follow it without --overwrite."""
    policies = [(has_policy(text), policy_note(text)) for text in (current, declared)]
    if any(has and note != AS_IN_CATALOG for has, note in policies):
        return False
    same = VersionPolicy("all")
    return set_version_policy(current, same, note=AS_IN_CATALOG) == set_version_policy(
        declared, same, note=AS_IN_CATALOG
    )


def _state(current: str | None, declared: str, *, overwrite: bool) -> ConfigState:
    if current is None:
        return "written"
    if current == declared:
        return "unchanged"
    return "replaced" if overwrite else "differs"


def _diff(current: str, declared: str, path: Path) -> str:
    lines = difflib.unified_diff(current.splitlines(), declared.splitlines(), str(path), "triton-config", lineterm="")
    return "\n".join(lines)
