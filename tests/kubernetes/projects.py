"""Checkouts with small models, and targets to render them for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.onnx_models import affine, write_model
from tritonops.kubernetes.targets.target import Target
from tritonops.models.config import copy_configs
from tritonops.models.configs.variants import Variant
from tritonops.models.download import download
from tritonops.models.lock import lock_models
from tritonops.project import Project

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
IMAGE = f"nvcr.io/nvidia/tritonserver:26.07-py3@{DIGEST}"
INIT_IMAGE = f"registry.example.com/tritonops@{DIGEST}"
MODELS_IMAGE = f"registry.example.com/models:7@{DIGEST}"
DEFAULTS: dict[str, Any] = {
    "context": "gpu-eu",
    "namespace": "triton",
    "image": IMAGE,
    "init_image": INIT_IMAGE,
    "replicas": 2,
}


def target(name: str = "production", **options: Any) -> Target:
    """A target with two replicas, unless the options say otherwise."""
    return Target(name=name, **(DEFAULTS | options))


def write_project(
    folder: Path, models: Mapping[str, Sequence[int]] | None = None, *, entries: Mapping[str, str] | None = None
) -> Project:
    """Write models of these versions as `path` sources, with configs and a lock; `entries` has more keys of each."""
    models = models or {"alpha": (1,), "beta": (1, 2)}
    lines, made = list[str](), folder / "made"
    for name, versions in models.items():
        write_model(made, name, {version: affine(version + 1) for version in versions})
        for variant in ("cpu", "gpu"):
            config = folder / "triton-config" / name / f"{variant}.pbtxt"
            config.parent.mkdir(parents=True, exist_ok=True)
            config.write_text((made / name / "config.pbtxt").read_text())
        for version in versions:
            source = folder / "sources" / f"{name}-{version}.onnx"
            source.parent.mkdir(exist_ok=True)
            (made / name / str(version) / "model.onnx").rename(source)
            lines += [f"[[models.{name}]]", f'path = "sources/{source.name}"', f"triton_version = {version}"]
            lines += [(entries or {}).get(name, ""), ""]
    folder.mkdir(exist_ok=True)
    (folder / "models.toml").write_text("\n".join(lines))
    lock_models(load(folder))
    return load(folder)


def fill_models_dir(folder: Path, variant: Variant = "gpu") -> Path:
    """Download the models of a checkout, and copy their configs; give the models directory."""
    project = load(folder)
    download(project)
    copy_configs(project, variant=variant)
    return project.settings.models_dir


def load(folder: Path, **environ: str) -> Project:
    """Read a checkout as it is now, without the settings of this machine."""
    return Project.load(folder, environ=environ, cwd=folder, env_file=False)
