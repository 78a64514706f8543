"""The config.pbtxt that triton-config and models.toml declare for a model."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

from tritonops.errors import ConfigError
from tritonops.models.catalog.catalog import Catalog
from tritonops.models.configs.declared import declared_text, keep_policy, served_policy
from tritonops.models.configs.pbtxt import ModelConfig, read_text_if_present
from tritonops.models.configs.variants import VARIANTS, Variant, source_path
from tritonops.models.configs.version_policy import VersionPolicy, set_version_policy
from tritonops.models.disk.repository import CONFIG_NAME, Repository
from tritonops.triton.dependents import ensemble_steps
from tritonops.triton.disk.served_folder import LoadRecord, ModelOnDisk, parse_once, policy_of, unpack_config


@dataclass(frozen=True)
class DeclaredConfig:
    """A model's config on disk, and the declared one."""

    path: Path
    on_disk: str | None
    text: str | None
    """The declared text; None if there is none, for the reason in `missing_reason`."""
    source: Path
    """The file that `text` comes from."""
    missing_reason: str | None = None
    """Why on_disk is no text."""
    as_loaded: str = ""
    """The served config, packed, where Triton has loaded this very text: the slow parser is not needed."""

    @property
    def error(self) -> str | None:
        """Why it cannot be written or loaded; None if it can."""
        if self.as_loaded:
            return None
        try:
            self._parsed()
        except ConfigError as exc:
            return str(exc)
        return self.missing_reason

    @property
    def config(self) -> ModelConfig | None:
        """The parsed text; None if there is none, or it has an error."""
        return None if self.text is None or self.error else self._parsed()

    def _parsed(self) -> ModelConfig:
        return parse_once(self.text or "", str(self.source))

    @property
    def differs(self) -> bool:
        """Whether it has to be written."""
        return self.text is not None and self.text != self.on_disk

    @property
    def policy(self) -> VersionPolicy:
        """The versions that Triton should serve."""
        return policy_of(self.config if "version_policy" in (self.text or "") else None)

    @property
    def steps(self) -> tuple[str, ...]:
        """An ensemble's component models."""
        if "ensemble_scheduling" not in (self.text or ""):
            return ()
        config = unpack_config(self.as_loaded) if self.as_loaded else self.config
        return tuple(ensemble_steps(config)) if config is not None else ()

    @property
    def is_chosen(self) -> bool:
        """Whether the policy was set with triton.serve."""
        return served_policy(self.text or "") is not None

    @property
    def diff(self) -> str | None:
        """From the config on disk to the declared one; None if they agree."""
        if not self.differs:
            return None
        lines = (self.on_disk or "").splitlines(), (self.text or "").splitlines()
        origin = str(self.path) if self.on_disk is not None else "/dev/null"
        return "\n".join(difflib.unified_diff(*lines, origin, "triton-config", lineterm=""))


def declared_config(
    catalog: Catalog,
    repository: Repository,
    config_dir: Path,
    name: str,
    *,
    variant: Variant | None,
    model: ModelOnDisk | None = None,
    record: LoadRecord | None = None,
) -> DeclaredConfig:
    """Find the declared config of a model of models.toml.

    Without a `variant`, a config on disk that matches the GPU's or the CPU's is kept, and any other becomes the GPU's.
    A config on disk without one in triton-config is kept. `model` is a snapshot of the model's folder in the models
    directory, `record` that of its last verified load. Raises ConfigError for a file that cannot be read.
    """
    path, on_disk = _on_disk(repository, name, model)
    sources = {each: source_path(config_dir, name, each) for each in ((variant,) if variant else VARIANTS)}
    texts = {
        each: keep_policy(on_disk or "", declared_text(catalog, name, text))
        for each, source in sources.items()
        if (text := read_text_if_present(source)) is not None
    }
    chosen = variant or VARIANTS[0]
    if on_disk is not None and (on_disk in texts.values() or not texts):
        is_loaded = record is not None and bool(record.files) and record.config == on_disk
        return DeclaredConfig(
            path, on_disk, on_disk, path, as_loaded=record.served_config if record and is_loaded else ""
        )
    if chosen not in texts:
        return DeclaredConfig(path, on_disk, None, path, f"there is no {sources[chosen]}")
    return DeclaredConfig(path, on_disk, texts[chosen], sources[chosen])


def _on_disk(repository: Repository, name: str, model: ModelOnDisk | None) -> tuple[Path, str | None]:
    if model is None:
        path = repository.config_path(name)
        return path, read_text_if_present(path)
    if model.unreadable:
        raise model.unreadable
    return model.folder / CONFIG_NAME, model.text


def without_undeclared(config: DeclaredConfig, declared: set[int], on_disk: tuple[int, ...]) -> DeclaredConfig:
    """Remove undeclared versions from the version policy, as triton.serve would."""
    picked = {*config.policy.served(on_disk)}
    if config.text is None or config.config is None or picked <= declared:
        return config
    versions = tuple(sorted(picked & declared or declared))
    text = set_version_policy(config.text, VersionPolicy("specific", versions=versions))
    return replace(config, text=text, as_loaded="")
