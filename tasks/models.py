"""Models: models.toml and the files on disk."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from invoke import Context

from tasks.catalog import add, generate_config, remove
from tasks.output.terminal import confirm, count, note, note_at_terminal, print_diff, print_json, print_table, size
from tasks.shared.checkout import PROJECT, project
from tasks.shared.options import JSON, integer, names, output_format
from tasks.shared.task import task
from tasks.visibility import disable, enable

if TYPE_CHECKING:
    from tritonops.errors import TritonOpsError
    from tritonops.models.config import ConfigResult
    from tritonops.models.configs.variants import Variant
    from tritonops.models.download import DownloadResult

__all__ = ["add", "disable", "enable", "generate_config", "remove"]  # tasks of this collection, too

INCLUDE = {"include": "Only this model. Repeatable, or comma-separated."}


@task(name="list", help=JSON, read_only=True)
def list_(c: Context, json: bool = False) -> None:
    """List declared and installed model versions."""
    from tritonops.models.list import list_versions

    found = list_versions(project())
    for label, problem in found.source_problems.items():
        note(f"{label}: {problem.in_one_line}")
    if json:
        print_json(found.versions)
        return
    if not found.versions:
        _note_empty()
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
    installed = sum(row.installed for row in found.versions)
    note_at_terminal(f"{installed:,} of {count(len(found.versions), 'model version')} installed")


def _note_empty() -> None:
    """Say how a first model is added."""
    toml = project().settings.models_toml.name
    note(f"{toml} declares no model. To add one: inv models.add NAME --repo-id OWNER/NAME --file PATH")


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
    }
    | JSON,
    iterable=["include"],
    words="include",
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
    from tasks.output.progress import download_progress
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
    elif not (result.downloaded or result.skipped or result.failed):
        _note_empty()
    else:
        note(_summary(result))
    raise_unless_done(result)


def _summary(result: DownloadResult) -> str:
    if not (result.downloaded or result.failed):
        return f"Up to date: {count(len(result.skipped), 'model version')}"
    counts = {"downloaded": result.downloaded, "up to date": result.skipped, "failed": result.failed}
    summary = ", ".join(f"{len(labels)} {what}" for what, labels in counts.items() if labels)
    return f"{summary} ({size(result.bytes)} in {result.seconds:.1f} s)"


@task(
    help={
        "include": "Resolve this model again, even if it is pinned. Repeatable, or comma-separated.",
        "check": "Change nothing; exit 4 if models.lock differs from models.toml or from local files.",
    }
    | JSON,
    iterable=["include"],
    words="include",
)
def lock(c: Context, include: list[str], check: bool = False, json: bool = False) -> None:
    """Pin models in models.lock.

    Versions that are not in models.toml any more lose their pin. In CI, --check finds what differs.
    """
    from tasks.output.progress import download_progress
    from tritonops.models.lock import compare_lock, lock_models

    if check:
        comparison = compare_lock(project(), include=names(include))
        if json:
            print_json({"differences": comparison.differences, "unknown": comparison.unknown})
        comparison.raise_if_different()
        return
    with download_progress(quiet=json) as progress:
        result = lock_models(project(), include=names(include), progress=progress)
    if json:
        print_json(result)
    else:
        note(f"{len(result.locked)} locked, {len(result.kept)} kept: {project().settings.lock_path}")


@task(help={"yes": "Do not ask for confirmation."} | JSON)
def prune(c: Context, yes: bool = False, json: bool = False) -> None:
    """Delete unreferenced and replaced files of the store.

    Unreferenced: no pin and no version on disk has them. Replaced: what tritonops did not make
    and moved to .store/replaced/, such as edited configs. They are listed before the question.
    """
    from tasks.output.progress import download_progress
    from tritonops.models.prune import delete_unreferenced, find_unreferenced

    with download_progress(quiet=json) as progress:
        found = find_unreferenced(project(), progress)
        rows = [(found.displayed_name(file), length) for file, length in found.files.items()]
        if not json and rows:
            print_table(("file", "size"), [(name, size(length)) for name, length in rows])
        note(f"{count(len(rows), 'file')}, {size(found.bytes)}")
        deleted = list[str]()
        if rows:
            confirm("Delete them?", yes=yes)
            deleted = [found.displayed_name(file) for file in delete_unreferenced(project(), found, progress).files]
            note(f"{count(len(deleted), 'file')} deleted")
            if kept := len(rows) - len(deleted):
                note(f"{count(kept, 'file')} came into use meanwhile, and stay")
    if json:
        files = [{"file": name, "size": length, "deleted": name in deleted} for name, length in rows]
        print_json({"files": files, "bytes": found.bytes})


@task(
    help=INCLUDE
    | {
        "cpu": "Copy the CPU configs (default: the GPU ones).",
        "overwrite": "Replace configs on disk that differ. A version policy set by triton.serve is kept.",
    }
    | JSON,
    iterable=["include"],
    words="include",
)
def config(c: Context, include: list[str], cpu: bool = False, overwrite: bool = False, json: bool = False) -> None:
    """Copy configs from triton-config/ to the models."""
    from tritonops.models.config import copy_configs, raise_unless_done

    outcomes = copy_configs(project(), variant="cpu" if cpu else "gpu", include=names(include), overwrite=overwrite)
    if json:
        print_json([_as_json(outcome) for outcome in outcomes])
    else:
        for outcome in outcomes:
            _show(outcome)
    raise_unless_done(outcomes)


def _as_json(outcome: ConfigResult) -> dict[str, object]:
    policy = outcome.kept_policy
    return {**asdict(outcome), "kept_policy": None if policy is None else str(policy)}


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
        "load": "Load every ONNX graph on this machine's ONNX Runtime, with limits of time and memory.",
        "image": "Image to check against, or its tag (default: TRITON_IMAGE, or NVIDIA's current image).",
        "embedded": "Check against the embedded Triton.",
        "host": "Check against what this host has: image, options, GPUs.",
        "format": "text, json, sarif (for code scanning; its upload: docs/check.md) or github (annotations of a "
        "workflow) (default: text).",
    }
    | JSON,
    iterable=["include"],
    words="include",
    read_only=True,
)
def check(
    c: Context,
    include: list[str],
    cpu: bool = False,
    gpu: bool = False,
    load: bool = False,
    image: str | None = None,
    embedded: bool = False,
    host: str | None = None,
    format: str | None = None,
    json: bool = False,
) -> None:
    """Validate configs and models offline.

    Graphs are tried on this machine's ONNX Runtime where a verdict needs it: whether a max_batch_size
    above 0 is right, and which shapes outputs have; with --load, every graph.
    """
    from tasks.output.findings import show_findings
    from tasks.shared.judged_server import chosen_server, note_server, progress_of_trials
    from tritonops.models.check import check as check_models
    from tritonops.models.checked import Checked
    from tritonops.models.rules.finding import raise_on_errors

    output = output_format(format, ("text", "json", "sarif", "github"), json=json)
    server = chosen_server(image=image, embedded=embedded, host=host)
    cpu = cpu or (server.is_embedded and not gpu)  # it has no GPU
    variants: tuple[Variant, ...] = ("cpu",) if cpu and not gpu else ("gpu",) if gpu and not cpu else ("gpu", "cpu")
    checked = Checked.of(project(), server=server, trials="all" if load else "doubtful", variants=variants)
    with progress_of_trials(quiet=output != "text") as on_trial:
        findings = check_models(checked, include=names(include), on_trial=on_trial)
    note_server(server)
    show_findings(findings, format=output, folder=PROJECT)
    raise_on_errors(findings)
