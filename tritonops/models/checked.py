"""What a check looks at, and what it judges for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from tritonops.models.catalog.catalog import Catalog
from tritonops.models.configs.variants import VARIANTS, Variant
from tritonops.models.disk.repository import Repository
from tritonops.models.rules.judged_server import JudgedServer, count_gpus, server_of_image
from tritonops.project import Project

Trials = Literal["none", "doubtful", "all"]
"""Which graphs are tried on the ONNX Runtime of this machine: those without whose trial there is no verdict, or all."""


@dataclass(frozen=True)
class Checked:
    """What is checked, and against what."""

    catalog: Catalog
    repository: Repository
    config_dir: Path
    lock_path: Path
    server: JudgedServer
    trials: Trials = "doubtful"
    variants: tuple[Variant, ...] = VARIANTS
    store_dir: Path | None = None
    """Where digests and trials are remembered: on a host, all releases share it. None: next to the models."""

    @classmethod
    def of(
        cls,
        project: Project,
        *,
        server: JudgedServer | None = None,
        trials: Trials = "doubtful",
        variants: Sequence[Variant] = VARIANTS,
    ) -> Checked:
        """A project, judged for a server: by default TRITON_IMAGE on this machine."""
        settings = project.settings
        return cls(
            project.catalog,
            project.repository,
            settings.config_dir,
            settings.lock_path,
            server or server_of_image(project.image, gpus=count_gpus()),
            trials,
            tuple(variants),
            settings.store_dir,
        )

    @property
    def memory(self) -> Path:
        """The folder of what earlier checks found out."""
        return self.store_dir or self.repository.work_dir

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every model of models.toml, and of the disk."""
        return tuple(dict.fromkeys((*self.catalog.names, *self.repository.names())))
