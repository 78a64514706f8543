"""Kubernetes: the same catalogue on a cluster."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from invoke import Context

from tasks.cluster_tasks import logs, releases, remove, status
from tasks.output.target_output import show_target_plan, show_target_result
from tasks.output.terminal import note, print_json, print_table
from tasks.output.waiting import waiting
from tasks.shared.checkout import PROJECT, project, uv
from tasks.shared.options import JSON, file_path, output_format, seconds
from tasks.shared.targets import TARGET, run_on_target, selected_target
from tasks.shared.task import task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tritonops.kubernetes.manifests.versions import ClusterVersion
    from tritonops.kubernetes.render import RenderedTarget
    from tritonops.kubernetes.rollout.result import TargetResult
    from tritonops.kubernetes.targets.target import Target

__all__ = ["logs", "releases", "remove", "status"]  # tasks of this collection, too

DOWNTIME = {"allow-downtime": "Allow a target whose only pod ends before the next one serves."}


@task(
    help=TARGET
    | DOWNTIME
    | {"timeout": "Seconds without progress after which it has failed (default: the budget of a start, and 120)."}
    | JSON
)
def deploy(
    c: Context,
    target: str | None = None,
    allow_downtime: bool = False,
    timeout: str | None = None,
    json: bool = False,
) -> None:
    """Deploy this checkout; a failed rollout is rolled back.

    Afterwards: kubernetes.status, kubernetes.releases (who deployed what, when), kubernetes.rollback.
    """
    stall, selected = seconds("--timeout", timeout), selected_target(target)

    def work(on_step: Callable[[str], None]) -> TargetResult:
        from tritonops.kubernetes.deploy import deploy as use_case

        return use_case(project(), selected, allow_downtime=allow_downtime, stall=stall, on_step=on_step)

    show_target_result(run_on_target(selected, work, quiet=json), json=json)


@task(help=TARGET | {"format": "text, markdown (for a pull request) or json (default: text)."} | JSON, read_only=True)
def plan(c: Context, target: str | None = None, format: str | None = None, json: bool = False) -> None:
    """Preview a deploy (exit 4 if there are changes).

    What somebody changed by hand in the cluster is among them.
    """
    from tritonops.kubernetes.manifests.deployment import ends_only_pod
    from tritonops.kubernetes.plan import plan as use_case

    output, selected = output_format(format, ("text", "json", "markdown"), json=json), selected_target(target)
    show_target_plan(use_case(project(), selected), format=output, is_downtime=ends_only_pod(selected))


@task(help=TARGET | {"to": "Digest or revision of kubernetes.releases (default: the release before)."} | JSON)
def rollback(c: Context, target: str | None = None, to: str | None = None, json: bool = False) -> None:
    """Roll back to an earlier release.

    It does not ask. kubernetes.releases lists what there is.
    """
    selected = selected_target(target)

    def work(on_step: Callable[[str], None]) -> TargetResult:
        from tritonops.kubernetes.rollback import roll_back

        return roll_back(project(), selected, to=to, on_step=on_step)

    show_target_result(run_on_target(selected, work, quiet=json), json=json)


@task(
    help={"target": "Target of kubernetes.toml (default: all)."}
    | {
        "output": "Folder for a kustomization of each target (default: print the manifests).",
        "kubernetes-version": "The cluster's version, such as 1.34: what it does not know is left out (default: ask).",
    }
    | DOWNTIME
    | JSON
)
def render(
    c: Context,
    target: str | None = None,
    output: str | None = None,
    kubernetes_version: str | None = None,
    allow_downtime: bool = False,
    json: bool = False,
) -> None:
    """Render the manifests of a cluster."""
    from tritonops.kubernetes import render as use_case

    folder, version_of = file_path("--output", output), _versions(kubernetes_version)
    rendered = [
        use_case.render(project(), each, version_of(each), allow_downtime=allow_downtime)
        for each in project().targets.select(target)
    ]
    stream = "" if folder or json else use_case.stream(rendered)
    written = [use_case.write(each, folder) for each in rendered] if folder else [(None, False)] * len(rendered)
    _show_notes(rendered)
    results = [(each, *result) for each, result in zip(rendered, written, strict=True)]
    if json:
        print_json([_document(*each) for each in results])
    elif folder:
        _show_folders(results)
    else:
        sys.stdout.write(stream)


@task(
    help={
        "base-image": "Slim Python 3.11 to 3.13 image to build on (default: the one in docker/tritonops/Dockerfile).",
        "tag": "Name of the image (default: localhost/tritonops).",
    }
    | JSON
)
def build(c: Context, base_image: str | None = None, tag: str | None = None, json: bool = False) -> None:
    """Build the init container's image."""
    from tritonops.compose.engine.docker import Docker
    from tritonops.kubernetes.build import INIT_IMAGE, InitImageSource
    from tritonops.kubernetes.build import build as build_image

    image, source = tag or INIT_IMAGE, InitImageSource(PROJECT)
    with waiting(f"building {image}", quiet=json):
        build_image(Docker(PROJECT), source, uv=uv(), watch=note, tag=image, base_image=base_image)
    print_json({"image": image}) if json else print(image)
    if not image.startswith("localhost/"):
        note(f"`docker push {image}` prints the digest that kubernetes.toml names it by, as init_image.")


def _versions(given: str | None) -> Callable[[Target], ClusterVersion]:
    """Give each target the version of --kubernetes-version, or that of its cluster."""
    from tritonops.kubernetes.cluster.kubectl import Kubectl
    from tritonops.kubernetes.cluster.version import cluster_version
    from tritonops.kubernetes.manifests.versions import ClusterVersion, parse_version

    if given is None:
        return lambda target: cluster_version(Kubectl.of(target), target)
    found = parse_version(given)
    return lambda target: ClusterVersion(found.number)


def _show_notes(rendered: list[RenderedTarget]) -> None:
    for each in rendered:
        if each.files_maps > 1:
            note(f"{each.target.name}: the files of the release are in {each.files_maps} ConfigMaps")
        for left_out in each.left_out:
            note(f"{each.target.name}: left out: {left_out}")


def _show_folders(results: list[tuple[RenderedTarget, Path | None, bool]]) -> None:
    rows = [
        [each.target.name, each.release.digest, len(each.objects), "written" if changed else "unchanged", folder]
        for each, folder, changed in results
    ]
    print_table(["target", "release", "objects", "state", "folder"], rows)
    for each, folder, _ in results:
        note(f"Apply it: kubectl --context {shlex.quote(each.target.context)} apply --server-side -k {folder}")


def _document(rendered: RenderedTarget, folder: Path | None, changed: bool) -> dict[str, object]:
    return {
        "target": rendered.target.name,
        "context": rendered.target.context,
        "namespace": rendered.target.namespace,
        "release": rendered.release.digest,
        "folder": folder,
        "changed": changed,
        "left_out": rendered.left_out,
        "objects": rendered.objects,
    }
