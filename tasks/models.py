"""Models: models.toml and the files on disk."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from invoke import Context

from tasks.catalog import add, generate_config, remove
from tasks.shared.checkout import project
from tasks.shared.options import integer, names
from tasks.shared.task import task
from tasks.shared.terminal import confirm, note, print_diff, print_json, print_table, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tritonops.errors import TritonOpsError
    from tritonops.models.config import ConfigResult
    from tritonops.models.configs.variants import Variant
    from tritonops.models.download import DownloadResult
    from tritonops.models.rules.finding import Finding

__all__ = ["add", "generate_config", "remove"]  # tasks of this collection, too

INCLUDE = {"include": "Only this model. Repeatable, or comma-separated."}


@task(name="list", help={"json": "Print one JSON document."})
def list_(c: Context, json: bool = False) -> None:
    """List declared and installed model versions."""
    from tritonops.models.list import list_versions

    found = list_versions(project())
    for label, problem in found.source_problems.items():
        note(f"{label}: {problem.in_one_line}")
    if json:
        print_json(found.versions)
        return
    print_table(
        ("name", "version", "revision", "source", "size", "installed", "enabled", "config"),
        [
            (
                row.name,
                row.version,
                row.revision and row.revision[:12],
                row.source,
                size(row.size),
                _installed(row.installed, found.source_problems.get(f"{row.name}/{row.version}")),
                _yes(row.enabled),
                row.config,
            )
            for row in found.versions
        ],
    )


def _installed(installed: bool, problem: TritonOpsError | None) -> str | None:
    """Mark an installed version whose source has changed since."""
    from tritonops.errors import SourceChangedError

    yes = _yes(installed)
    return f"{yes}, source changed" if isinstance(problem, SourceChangedError) else yes


def _yes(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


@task(
    name="download",
    help=INCLUDE
    | {
        "jobs": "Maximum number of connections (default: 64).",
        "overwrite": "Replace installed versions that differ from their pin.",
        "verify": "Hash all installed files again, and replace damaged ones.",
        "json": "Print one JSON document and no progress.",
    },
    iterable=["include"],
)
def download_(
    c: Context,
    include: list[str],
    jobs: str | None = None,
    overwrite: bool = False,
    verify: bool = False,
    json: bool = False,
) -> None:
    """Download and verify models."""
    from tasks.shared.progress import download_progress
    from tritonops.models.download import download, raise_unless_done

    with download_progress(quiet=json) as progress:
        result = download(
            project(),
            include=names(include),
            overwrite=overwrite,
            verify=verify,
            max_connections=integer("--jobs", jobs, at_least=1),
            progress=progress,
        )
    if json:
        print_json(result)
    else:
        note(_summary(result))
    raise_unless_done(result)


def _summary(result: DownloadResult) -> str:
    if not (result.downloaded or result.failed):
        return f"Up to date: {len(result.skipped)} model versions"
    counts = {"downloaded": result.downloaded, "up to date": result.skipped, "failed": result.failed}
    summary = ", ".join(f"{len(labels)} {what}" for what, labels in counts.items() if labels)
    return f"{summary} ({size(result.bytes)} in {result.seconds:.1f} s)"


@task(
    help={
        "include": "Resolve this model again, even if it is pinned. Repeatable, or comma-separated.",
        "check": "Change nothing; exit 4 if models.lock differs from models.toml or from local files.",
        "json": "Print one JSON document.",
    },
    iterable=["include"],
)
def lock(c: Context, include: list[str], check: bool = False, json: bool = False) -> None:
    """Pin models in models.lock."""
    from tasks.shared.progress import download_progress
    from tritonops.models.lock import check_lock, lock_models

    if check:
        check_lock(project(), include=names(include))
        return
    with download_progress(quiet=json) as progress:
        result = lock_models(project(), include=names(include), progress=progress)
    if json:
        print_json(result)
    else:
        note(f"{len(result.locked)} locked, {len(result.kept)} kept: {project().settings.lock_path}")


@task(help={"yes": "Do not ask for confirmation."})
def prune(c: Context, yes: bool = False) -> None:
    """Delete unreferenced and replaced files of the store."""
    from tasks.shared.progress import download_progress
    from tritonops.models.prune import delete_unreferenced, find_unreferenced

    with download_progress(quiet=False) as progress:
        found = find_unreferenced(project(), progress)
        print_table(
            ("file", "size"), [(found.displayed_name(file), size(length)) for file, length in found.files.items()]
        )
        note(f"{len(found.files)} files, {size(found.bytes)}")
        if found.files and confirm("Delete them?", yes=yes):
            deleted = delete_unreferenced(project(), found, progress)
            if kept := len(found.files) - len(deleted.files):
                note(f"{kept} of them are in use by now, and were kept")


@task(
    help=INCLUDE
    | {
        "cpu": "Copy the CPU configs (default: the GPU ones).",
        "overwrite": "Replace configs on disk that differ. A version policy set by triton.serve is kept.",
    },
    iterable=["include"],
)
def config(c: Context, include: list[str], cpu: bool = False, overwrite: bool = False) -> None:
    """Copy configs from triton-config/ to the models."""
    from tritonops.models.config import copy_configs, raise_unless_done

    outcomes = copy_configs(project(), variant="cpu" if cpu else "gpu", include=names(include), overwrite=overwrite)
    for outcome in outcomes:
        _show(outcome)
    raise_unless_done(outcomes)


def _show(outcome: ConfigResult) -> None:
    if outcome.state == "failed":
        return
    waiting = ", waiting for the model to be downloaded" if outcome.waiting else ""
    print(f"{outcome.name}: {outcome.state}{waiting}")
    print_diff(outcome.diff)
    if outcome.kept_policy:
        note(f"{outcome.name}: keeps the versions set with triton.serve: {outcome.kept_policy}")


@task(
    help=INCLUDE
    | {
        "cpu": "Check the CPU configs only (default: both).",
        "gpu": "Check the GPU configs only (default: both).",
        "image": "Image to check against, or its tag (default: TRITON_IMAGE, or NVIDIA's current image).",
        "json": "Print one JSON document.",
    },
    iterable=["include"],
)
def check(
    c: Context, include: list[str], cpu: bool = False, gpu: bool = False, image: str | None = None, json: bool = False
) -> None:
    """Validate configs and models offline."""
    from tritonops.models.check import Checked
    from tritonops.models.check import check as check_models
    from tritonops.models.rules.finding import raise_on_errors

    variants: tuple[Variant, ...] = ("cpu",) if cpu and not gpu else ("gpu",) if gpu and not cpu else ("gpu", "cpu")
    checked = Checked.of(project(), image=image, variants=variants)
    findings = check_models(checked, include=names(include))
    if checked.image.release is None:
        note(f"{checked.image.name} is not an NVIDIA release: backends and ONNX Runtime versions were not checked")
    if json:
        print_json(findings)
    else:
        _show_findings(findings)
    raise_on_errors(findings)


def _show_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        print(f"{finding.severity}: {finding.model}: {finding.what} [{finding.code}]")
        for file in finding.files:
            print(f"    in {file}")
        print(f"    {finding.why}\n    fix: {finding.fix}")
    if not findings:
        note("nothing found")


@task(help={"model": "Name of the model."}, positional=["model"])
def enable(c: Context, model: str) -> None:
    """Move a model back to triton/."""
    from tritonops.models.enable import enable_model

    print(enable_model(project(), model))
    note(f"`inv triton.load {quote(model)}` loads it into a running server.")


@task(
    help={
        "model": "Name of the model.",
        "yes": "Do not ask for confirmation, even if an ensemble or another model needs it.",
    },
    positional=["model"],
)
def disable(c: Context, model: str, yes: bool = False) -> None:
    """Hide a model from Triton, in triton-disabled/."""
    from tritonops.models.dependents import needed_by
    from tritonops.models.disable import disable_model

    needed = needed_by(project(), model)
    if needed and not confirm(f"{needed} Continue?", yes=yes):
        return
    print(disable_model(project(), model))
    note(f"A running server serves it until `inv triton.unload {quote(model)}`.")
