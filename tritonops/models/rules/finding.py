"""What a check found, and what configs are judged against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tritonops.errors import TritonOpsError
from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.graphs.trial import Trial, TrialRequest
from tritonops.models.rules.judged_server import JudgedServer

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, whatever file it stands in."""

    code: str
    what: str
    why: str
    """Why Triton would refuse it, or do something else."""
    fix: str
    severity: Severity = "error"


@dataclass(frozen=True)
class Finding:
    """A problem of a model, in the files where it stands."""

    model: str
    code: str
    severity: Severity
    files: tuple[Path, ...]
    what: str
    why: str
    fix: str
    line: int | None = None
    """In the first file, where it is known."""


def finding_of(model: str, files: tuple[Path, ...], problem: Problem) -> Finding:
    """Place a problem in the files where it stands."""
    return Finding(model, problem.code, problem.severity, files, problem.what, problem.why, problem.fix)


def raise_on_errors(findings: Sequence[Finding]) -> None:
    """Raise TritonOpsError where one of the findings is an error; warnings pass."""
    errors = sum(finding.severity == "error" for finding in findings)
    if errors:
        warnings = len(findings) - errors
        raise TritonOpsError(
            f"{errors} {'error' if errors == 1 else 'errors'}, {warnings} {'warning' if warnings == 1 else 'warnings'}"
        )


@dataclass(frozen=True)
class Subject:
    """One config, and what it is judged against."""

    name: str
    config: ModelConfig
    """inference.ModelConfig."""
    home: Path | None
    """The model's folder; None where it is not on disk."""
    versions: tuple[int, ...]
    """On disk, lowest first."""
    server: JudgedServer
    enabled: bool = True
    """Whether Triton is shown the model."""
    others: Mapping[str, Subject] = field(default_factory=dict)
    """The other models of the repository, by name, for ensembles."""
    trials: Mapping[TrialRequest, Trial] = field(default_factory=dict)
    """What was tried on the ONNX Runtime of this machine."""
    is_load_tried: bool = False
    """Whether every graph was to be loaded, so that one which could not be is a finding."""
    unreadable: frozenset[str] = frozenset()
    """Other models, whose configs are missing or do not parse: nothing is known of them."""

    @property
    def is_ensemble(self) -> bool:
        """Whether it joins other models instead of having files."""
        return bool(self.config.platform == "ensemble" or self.config.HasField("ensemble_scheduling"))
