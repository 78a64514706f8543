"""Tasks of the collection `models` that edit the catalogue and write configs."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING

from invoke import Context

from tasks.output.terminal import confirm, note, print_json
from tasks.shared.checkout import project
from tasks.shared.options import JSON, file_path, integer, names
from tasks.shared.task import task
from tritonops.display_text import one_line
from tritonops.errors import InputError, TritonOpsError, listed

if TYPE_CHECKING:
    from tritonops.models.add import Added
    from tritonops.models.configs.config_options import ConfigOptions

CONFIG_OPTIONS = {
    "max-batch-size": "Maximum batch size of generated configs (default: 8 if the graph takes batches, else 0).",
    "dynamic-batching": "Enable dynamic batching.",
    "warmup": "Add a warm-up request of zeros (dynamic dimensions are 1).",
    "labels": "File of class names, one a line, for the first output.",
}


@task(
    name="generate-config",
    help={
        "model": "Model name. Repeatable, or comma-separated.",
        "missing": "All models without a config; one that is not on disk is a failure.",
    }
    | CONFIG_OPTIONS
    | {"overwrite": "Overwrite existing configs."}
    | JSON,
    iterable=["model"],
    words="model",
)
def generate_config(
    c: Context,
    model: list[str],
    missing: bool = False,
    max_batch_size: str | None = None,
    dynamic_batching: bool = False,
    warmup: bool = False,
    labels: str | None = None,
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Generate configs from ONNX graphs on disk.

    Both are written to triton-config/: MODEL/gpu.pbtxt and MODEL/cpu.pbtxt. `inv models.config MODEL`, or with --cpu,
    copies one to where Triton reads it.
    """
    from tritonops.models.generate_config import generate_configs, models_without_configs, raise_unless_generated

    options = _config_options(max_batch_size, labels, dynamic_batching=dynamic_batching, warmup=warmup)
    chosen = list(names(model))
    if bool(chosen) == missing:
        raise InputError("expected names of models, or --missing" + (", not both" if missing else ""))
    chosen = chosen or list(models_without_configs(project()))
    results = generate_configs(project(), chosen, options=options, overwrite=overwrite)
    if json:
        failed = [{"model": result.name, "error": str(result.error)} for result in results if result.error]
        print_json({"configs": [file for result in results for file in result.files], "failed": failed})
    for result in results:
        for file in result.files if not json else ():
            print(file)
        for line in result.notes:
            note(one_line(f"{result.name}: {line}"))
    raise_unless_generated(results)
    if not results:
        note("every model has a config")
    _note_how_to_copy([result.name for result in results])


def _note_how_to_copy(names: Sequence[str]) -> None:
    """Say how generated configs get to where Triton reads; `models.config` copies those of models.toml."""
    declared = [name for name in names if name in project().catalog.names]
    others = [name for name in names if name not in declared]
    if declared:
        words = " ".join(map(quote, declared)) if len(names) < 4 else ""
        command = f"inv models.config {words}".rstrip()
        note(f"Review them, then: {command} (--cpu on a machine without GPUs; --overwrite where a config is in use)")
    if others:
        toml, target = project().settings.models_toml.name, project().repository.config_path(others[0])
        note(one_line(f"not in {toml}, so that you copy their configs yourself, to {target}: {listed(others)}"))


def _config_options(
    max_batch_size: str | None, labels: str | None, *, dynamic_batching: bool, warmup: bool
) -> ConfigOptions:
    from tritonops.models.configs.config_options import ConfigOptions

    labels_path = file_path("--labels", labels)
    if labels_path and not labels_path.is_file():
        raise InputError(f"--labels {labels}: no such file")
    size = integer("--max-batch-size", max_batch_size)
    return ConfigOptions(size, dynamic_batching, warmup, labels_path)


@task(
    help={
        "model": "Model name in Triton.",
        "repo-id": "Repository of the Hugging Face Hub: owner/name.",
        "file": "Path of the model file in the repository, such as onnx/model.onnx.",
        "subfolder": "Path of the model folder in the repository, for a model of several files.",
        "revision": "Branch, tag or commit of the repository (default: main).",
        "url": "URL of the model file; needs --sha256.",
        "sha256": "SHA-256 of the file at the URL.",
        "path": "File or folder of this machine.",
        "version": "Version number (default: the next free one).",
        "local-name": "Name of the file or folder on disk (default: model.onnx).",
        "cpu": "Use the CPU config (default: the GPU one).",
    }
    | CONFIG_OPTIONS
    | JSON,
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
    json: bool = False,
) -> None:
    """Add, pin and download a model.

    It comes from one of: --repo-id with --file or --subfolder, --url with --sha256, or --path.
    A branch or tag is pinned as the commit that it has now. Configs are generated where triton-config has none.
    """
    from tasks.output.progress import download_progress
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
    with download_progress(quiet=json) as progress:
        added = add_model(
            project(),
            model,
            {key: value for key, value in typed.items() if value is not None},
            variant="cpu" if cpu else "gpu",
            options=_config_options(max_batch_size, labels, dynamic_batching=dynamic_batching, warmup=warmup),
            progress=progress,
        )
    if json:
        entry = added.entry
        print_json({"model": entry.name, "version": entry.version, "configs": added.configs, "note": added.problem})
    else:
        print(added.entry.label)
    for config in added.configs:
        note(f"generated from the graph: {config}")
    for line in added.notes:
        note(one_line(line))
    if added.problem:
        raise _config_error(added, "cpu" if cpu else "gpu")
    if added.variant:
        others = {"gpu": "--cpu --overwrite", "cpu": "--overwrite"}
        kept = " (as it was)" if (added.variant == "cpu") != cpu else ""
        command = f"inv models.config {quote(model)} {others[added.variant]}"
        note(f"Triton reads its {added.variant.upper()} config{kept}; `{command}` takes the other one.")
    note(f"`inv triton.load {quote(model)}` loads it into a running server; `inv server.up` starts one.")


def _config_error(added: Added, variant: str) -> TritonOpsError:
    """Word why a model that was added has no config of triton-config, and how this version goes again."""
    name, config_dir = added.entry.name, project().settings.config_dir
    removal = f"inv models.remove {quote(name)} --version {added.entry.version} --files"
    if added.keeps_config:
        hint = f"`inv models.config {quote(name)} --overwrite` takes that of triton-config (the CPU's with --cpu)"
    else:
        hint = f"Write {config_dir / name}/{variant}.pbtxt by hand"
    return TritonOpsError(
        f"{added.entry.label} was added, and Triton has no config of triton-config for it: {added.problem}",
        hint=f"{hint}, or take the version out again: {removal}",
    )


@task(
    help={
        "model": "Name of the model.",
        "version": "Only this version (default: all).",
        "files": "Remove its files too, and its configs with the last version; "
        "files that were not downloaded move to .store/replaced/.",
        "yes": "Do not ask for confirmation.",
    }
    | JSON,
    positional=["model"],
)
def remove(
    c: Context, model: str, version: str | None = None, files: bool = False, yes: bool = False, json: bool = False
) -> None:
    """Remove a model from models.toml and models.lock."""
    from tritonops.models.dependents import needed_by
    from tritonops.models.remove import plan_removal, remove_model

    removal = plan_removal(project(), model, version=integer("--version", version, at_least=1), files=files)
    folders = "".join(f"\n  {folder}" for folder in removal.folders)
    needed = needed_by(project(), model) if removal.folders else ""
    labels = ", ".join(entry.label for entry in removal.entries)
    kept = "Files that were not downloaded are moved to .store/replaced/."
    question = f"{needed} Remove {labels}, and from the disk:{folders}\n{kept} Continue?".lstrip()
    if folders:
        confirm(question, yes=yes)
    remove_model(project(), removal)
    if json:
        print_json({"removed": [entry.label for entry in removal.entries], "folders": removal.folders})
    else:
        print(f"removed: {labels}")
    if not files and model in project().repository.names():
        note(f"Files of {labels} stay on disk, and in service. `inv models.disable {quote(model)}` hides {model}.")
