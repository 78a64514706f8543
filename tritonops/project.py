"""One checkout: its settings, and the parts that use cases work on, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tritonops.settings import Settings, load_settings

if TYPE_CHECKING:
    from tritonops.kubernetes.targets.parsing import Targets
    from tritonops.models.catalog.catalog import Catalog
    from tritonops.models.catalog.lockfile import Lock
    from tritonops.models.disk.repository import Repository
    from tritonops.models.disk.store import Store
    from tritonops.models.sources.hub_address import Hub
    from tritonops.remote.client.inventory import Inventory
    from tritonops.triton.client.client import TritonClient
    from tritonops.triton_image import Image


class Project:
    """One checkout, for one command. On a host, two of its paths are those of the release.

    `catalog` and `lock` are as they were when first read; a commit reads both files again (`Commits`).
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def load(
        cls,
        root: Path,
        *,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        env_file: bool = True,
    ) -> Project:
        """Read the environment and, where `env_file` is true, `.env`. Raises SettingsError."""
        return cls(load_settings(root, environ=environ, cwd=cwd, env_file=env_file))

    @cached_property
    def catalog(self) -> Catalog:
        """What models.toml declares. Raises CatalogError."""
        from tritonops.models.catalog.parsing import load_catalog

        return load_catalog(self.settings.models_toml)

    @cached_property
    def lock(self) -> Lock:
        """The pins of models.lock, by label ("clip/1"). Raises CatalogError."""
        from tritonops.models.catalog.lockfile import load_lock

        return load_lock(self.settings.lock_path)

    @cached_property
    def repository(self) -> Repository:
        """The models on disk. Raises InputError where TRITON_MODELS_DIR is one level off."""
        from tritonops.models.disk.misplaced import refuse_misplaced
        from tritonops.models.disk.repository import Repository

        refuse_misplaced(self.settings.models_dir)
        return Repository(self.settings.models_dir)

    @cached_property
    def store(self) -> Store:
        """The verified files."""
        from tritonops.models.disk.store import Store

        return Store(self.settings.store_dir)

    @cached_property
    def hub(self) -> Hub:
        """The Hugging Face Hub, or a mirror of it."""
        from tritonops.models.sources.hub_address import Hub

        return Hub.of(self.settings)

    @cached_property
    def image(self) -> Image:
        """What TRITON_IMAGE, or the default image, can serve."""
        from tritonops.triton_image import DEFAULT_IMAGE, parse_image

        return parse_image(self.settings.triton_image or DEFAULT_IMAGE, may_be_tag=False)

    @cached_property
    def hosts(self) -> Inventory:
        """The GPU servers of hosts.toml. Raises InputError."""
        from tritonops.remote.client.inventory import load_inventory

        return load_inventory(self.settings.project / "hosts.toml")

    @cached_property
    def targets(self) -> Targets:
        """The clusters of kubernetes.toml. Raises InputError."""
        from tritonops.kubernetes.targets.parsing import load_targets

        return load_targets(self.settings.project / "kubernetes.toml")

    def connect(self, url: str | None = None) -> AbstractContextManager[TritonClient]:
        """Connect to the Triton at `url` (host:port), or at TRITON_URL. Nothing is sent before the first call."""
        from tritonops.triton.client.client import connect

        return connect(url or self.settings.triton_url, token=self.settings.triton_token)
