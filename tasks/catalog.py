"""Tasks of the collection `models` that edit the catalogue and write configs."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from invoke import Context

from tasks.shared.checkout import project
from tasks.shared.options import file_path, integer
from tasks.shared.task import task
from tasks.shared.terminal import confirm, note
from tritonops.errors import InputError

if TYPE_CHECKING:
    from tritonops.models.configs.rendering import Wishes

WISHES = {
    "max-batch-size": "The largest batch; otherwise 8 where the graph's batch varies, and 0 where it does not.",
    "dynamic-batching": "Let Triton join requests that wait.",
    "warmup": "Infer zeros once at load time; a dimension that varies is 1 there.",
    "labels": "A file with the name of one class a line, for the first output.",
}


@task(
    name="generate-config",
    help={"model": "The model's name."} | WISHES | {"overwrite": "Write configs anew that are there."},
    positional=["model"],
)
def generate_config(
    c: Context,
    model: str,
    max_batch_size: str | None = None,
    dynamic_batching: bool = False,
    warmup: bool = False,
    labels: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write the CPU and the GPU config of a model from its ONNX graph on disk."""
    from tritonops.models.generate_config import generate_configs

    files = generate_configs(
        project(),
        model,
        wishes=_wishes(max_batch_size, labels, dynamic_batching=dynamic_batching, warmup=warmup),
        overwrite=overwrite,
    )
    for file in files:
        print(file)
    note(f"Look them over; `inv models.config --include {model}` copies one to the model.")


def _wishes(max_batch_size: str | None, labels: str | None, *, dynamic_batching: bool, warmup: bool) -> Wishes:
    from tritonops.models.configs.rendering import Wishes

    labels_path = file_path("--labels", labels)
    if labels_path and not labels_path.is_file():
        raise InputError(f"--labels {labels}: no such file")
    size = integer("--max-batch-size", max_batch_size)
    return Wishes(size, dynamic_batching, warmup, labels_path)


@task(
    help={
        "model": "The name that Triton shall know it by.",
        "repo-id": "From this repository of the Hugging Face Hub: owner/name.",
        "file": "The model's file in the repository.",
        "subfolder": "The model's folder in the repository, where it is more than one file.",
        "revision": "A branch, a tag or a commit of the repository; main otherwise.",
        "url": "From this URL, with --sha256.",
        "sha256": "What the file at the URL must hash to.",
        "path": "From this file or folder of this machine.",
        "version": "Triton's version; the next free one otherwise.",
        "local-name": "What the file or folder is called on disk; model.onnx otherwise.",
        "cpu": "Give it the CPU config; the GPU one otherwise.",
    }
    | WISHES,
    positional=["model"],
)
def add(
    c: Context,
    model: str,
    repo_id: str | None = None,
    file: str | None = None,
    subfolder: str | None = None,
    revision: str | None = None,
    url: str | None = None,
    sha256: str | None = None,
    path: str | None = None,
    version: str | None = None,
    local_name: str | None = None,
    cpu: bool = False,
    max_batch_size: str | None = None,
    dynamic_batching: bool = False,
    warmup: bool = False,
    labels: str | None = None,
) -> None:
    """Add a model to models.toml, pinned; download it, and give it a config."""
    from tasks.shared.progress import download_progress
    from tritonops.models.add import add_model

    source = file_path("--path", path)
    typed = {
        "repo_id": repo_id,
        "revision": revision,
        "url": url,
        "sha256": sha256,
        "path": str(source.absolute()) if source else None,
        "triton_version": integer("--version", version, at_least=1),
        "type": "directory" if subfolder or (source and source.is_dir()) else None,
        "model_path": file,
        "subfolder": subfolder,
        "local_name": local_name,
    }
    with download_progress(quiet=False) as progress:
        added = add_model(
            project(),
            model,
            {key: value for key, value in typed.items() if value is not None},
            variant="cpu" if cpu else "gpu",
            wishes=_wishes(max_batch_size, labels, dynamic_batching=dynamic_batching, warmup=warmup),
            progress=progress,
        )
    print(added.entry.label)
    for config in added.configs:
        note(f"written from the graph: {config}")
    note(added.note or f"`inv triton.load {quote(model)}` loads it into a running server.")


@task(
    help={
        "model": "The model's name.",
        "version": "Only this version; every one otherwise.",
        "files": "Remove its files too, and its configs with the last version. "
        ".store/replaced/ keeps those that were not downloaded.",
        "yes": "Do not ask.",
    },
    positional=["model"],
)
def remove(c: Context, model: str, version: str | None = None, files: bool = False, yes: bool = False) -> None:
    """Take a model out of models.toml and models.lock, and from the disk where that is asked for."""
    from tritonops.models.dependents import needed_by
    from tritonops.models.remove import plan_removal, remove_model

    removal = plan_removal(project(), model, version=integer("--version", version, at_least=1), files=files)
    folders = "".join(f"\n  {folder}" for folder in removal.folders)
    needed = needed_by(project(), model) if removal.folders else ""
    labels = ", ".join(entry.label for entry in removal.entries)
    kept = "Files that were not downloaded are kept in .store/replaced/."
    question = f"{needed} Remove {labels}, and from the disk:{folders}\n{kept} Go ahead?".lstrip()
    if folders and not confirm(question, yes=yes):
        return
    remove_model(project(), removal)
    print(f"removed: {labels}")
