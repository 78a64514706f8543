"""Kubernetes: the same catalogue on a cluster."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from invoke import Context

from tasks.output.terminal import note, print_json, print_table
from tasks.output.waiting import waiting
from tasks.shared.checkout import PROJECT, project, uv
from tasks.shared.options import JSON, file_path
from tasks.shared.task import task

if TYPE_CHECKING:
    from pathlib import Path

    from tritonops.kubernetes.render import RenderedTarget

TARGET = {"target": "Target of kubernetes.toml (default: all)."}


@task(
    help=TARGET
    | {
        "output": "Folder for a kustomization of each target (default: print the manifests).",
        "kubernetes-version": "The cluster's version, such as 1.34: what it does not know is left out.",
        "allow-downtime": "Render a target whose only pod ends before the next one serves.",
    }
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

    folder = file_path("--output", output)
    use_case.requested_version(kubernetes_version)
    rendered = [
        use_case.render(project(), each, kubernetes_version=kubernetes_version, allow_downtime=allow_downtime)
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
