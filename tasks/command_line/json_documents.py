"""What each task prints with --json: the type of its document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from tasks.command_line.host_documents import (
    ChangeRow,
    CheckRow,
    DeployRow,
    EnvRow,
    HostOutput,
    LockRow,
    ReleaseRow,
    StatusRow,
)
from tritonops.compose.service import ContainerStatus
from tritonops.compose.serving import ServingResult
from tritonops.doctor import DoctorResult
from tritonops.kubernetes.plan import TargetPlan
from tritonops.kubernetes.releases import KeptRevision
from tritonops.kubernetes.remove import RemovedObject
from tritonops.kubernetes.rollout.result import TargetResult
from tritonops.kubernetes.status import TargetStatus
from tritonops.models.download import DownloadResult
from tritonops.models.list import ListedVersion
from tritonops.models.lock import LockResult
from tritonops.models.rules.finding import Finding
from tritonops.server.status import ServerStatus
from tritonops.triton.apply import ApplyResult
from tritonops.triton.client.api_types import ModelStatistics, ModelStatus
from tritonops.triton.load import LoadResult
from tritonops.triton.plan.plan import PlannedVersion
from tritonops.triton.smoke import SmokeResult


class ErrorDetails(TypedDict):
    """What failed, what to do next, and the exit code of the command."""

    message: str
    hint: str | None
    exit_code: int


class Error(TypedDict):
    """The document of a task that failed before it had a result; stderr has the message too."""

    error: ErrorDetails


class Prediction(TypedDict):
    """The digit that the model recognized, and its certainty from 0 to 1; with --stop, whether a server was stopped."""

    digit: NotRequired[int]
    probability: NotRequired[float]
    stopped: NotRequired[bool]


class AddedModel(TypedDict):
    """The new version, the configs that were generated for it, and why there is none."""

    model: str
    version: int
    configs: list[Path]
    note: str | None


class AuditEntry(TypedDict, total=False):
    """What was done on a host: when (ISO 8601, UTC), by whom, with which release and result.

    Entries of other versions may have fewer keys, or more.
    """

    host: str
    at: str
    by: str
    what: str
    release: str | None
    digest: str
    result: str | None
    changed: list[str]
    seconds: float | None
    restarted: list[str]
    gap: float | None
    message: str


class ConfigFailure(TypedDict):
    """A model for which no config was generated."""

    model: str
    error: str


class GeneratedConfigs(TypedDict):
    """The files that were written, and the models that failed."""

    configs: list[Path]
    failed: list[ConfigFailure]


class CopiedConfig(TypedDict):
    """One model's config: its state, its path, and the diff from the file on disk."""

    name: str
    state: Literal["written", "replaced", "unchanged", "differs", "failed"]
    path: Path | None
    diff: str
    kept_policy: str | None
    waiting: bool
    error: str | None


class MovedModel(TypedDict):
    """A model, and its folder now."""

    model: str
    path: Path


class RemovedModel(TypedDict):
    """The removed entries of models.toml ("clip/1"), and the folders that went with them."""

    removed: list[str]
    folders: list[Path]


class PrunedFile(TypedDict):
    """An unreferenced or replaced file, its bytes, and whether it was deleted."""

    file: str
    size: int
    deleted: bool


class Pruned(TypedDict):
    """Unreferenced and replaced files, and the bytes that deleting all of them frees."""

    files: list[PrunedFile]
    bytes: int


class LockDifferences(TypedDict):
    """By version ("clip/1"): how the lock differs, and why it could not be compared (with --check)."""

    differences: dict[str, str]
    unknown: dict[str, str]


class TritonPlan(TypedDict):
    """All rows of the plan, and the diffs of configs by model."""

    rows: list[PlannedVersion]
    diffs: dict[str, str]


class Ready(TypedDict):
    """A server that is not ready is an error."""

    ready: Literal[True]


class Output(TypedDict):
    """One output tensor: its data, or its largest values with --top."""

    name: str
    datatype: str
    shape: list[int]
    data: NotRequired[Any]
    top: NotRequired[list[list[dict[str, Any]]]]


class Response(TypedDict):
    """The outputs of one response."""

    outputs: list[Output]


class Inference(TypedDict):
    """The outputs; for a decoupled model all responses, and whether there were no more."""

    model: str
    outputs: NotRequired[list[Output]]
    responses: NotRequired[list[Response]]
    complete: NotRequired[bool]


class Lines(TypedDict):
    """The last lines of the log."""

    lines: list[str]


class Stopped(TypedDict):
    """The process that was stopped, if any ran, and whether it had to be killed."""

    pid: int | None
    killed: bool


class RemovedContainers(TypedDict):
    """The names of the containers that were there."""

    removed: list[str]


class ImageName(TypedDict):
    """The image."""

    image: str | None


class RenderedManifests(TypedDict):
    """A target's objects in their order, the digest of its release, and what the version of Kubernetes does not know.

    With --output also the folder, and whether anything in it changed.
    """

    target: str
    context: str
    namespace: str
    release: str
    folder: Path | None
    changed: bool
    left_out: list[str]
    objects: list[dict[str, Any]]


DOCUMENTS: Mapping[str, Any] = {
    "quickstart": Prediction,
    "doctor": list[DoctorResult],
    "models.list": list[ListedVersion],
    "models.download": DownloadResult,
    "models.lock": LockResult | LockDifferences,
    "models.prune": Pruned,
    "models.config": list[CopiedConfig],
    "models.check": list[Finding],
    "models.enable": list[MovedModel],
    "models.disable": list[MovedModel],
    "models.generate-config": GeneratedConfigs,
    "models.add": AddedModel,
    "models.remove": RemovedModel,
    "triton.list": list[ModelStatus],
    "triton.load": LoadResult | list[LoadResult],
    "triton.unload": LoadResult | list[LoadResult],
    "triton.serve": LoadResult,
    "triton.config": dict[str, Any],
    "triton.ready": Ready,
    "triton.stats": list[ModelStatistics],
    "triton.infer": Inference,
    "triton.smoke": list[SmokeResult],
    "triton.plan": TritonPlan,
    "triton.apply": ApplyResult,
    "server.up": ServerStatus,
    "server.status": ServerStatus,
    "server.restart": ServerStatus,
    "server.logs": Lines,
    "server.down": Stopped,
    "compose.up": ServingResult,
    "compose.restart": ServingResult,
    "compose.ps": list[ContainerStatus],
    "compose.logs": Lines,
    "compose.down": RemovedContainers,
    "compose.pull": ImageName,
    "compose.build-cpu": ImageName,
    "kubernetes.build": ImageName,
    "kubernetes.render": list[RenderedManifests],
    "kubernetes.deploy": TargetResult,
    "kubernetes.plan": TargetPlan,
    "kubernetes.rollback": TargetResult,
    "kubernetes.releases": list[KeptRevision],
    "kubernetes.status": TargetStatus,
    "kubernetes.logs": Lines,
    "kubernetes.remove": list[RemovedObject],
    "remote.deploy": list[DeployRow] | list[ChangeRow],
    "remote.plan": list[ChangeRow],
    "remote.rollback": list[DeployRow],
    "remote.releases": list[ReleaseRow],
    "remote.status": list[StatusRow],
    "remote.logs": list[HostOutput],
    "remote.restart": list[HostOutput],
    "remote.run": list[HostOutput],
    "remote.doctor": list[CheckRow],
    "remote.lock": list[LockRow],
    "remote.audit": list[AuditEntry],
    "remote.env": list[EnvRow],
}
"""The type of each task's document."""
