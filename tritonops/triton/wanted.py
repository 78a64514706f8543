"""The config.pbtxt that a model should have: what triton-config and models.toml ask for."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

from tritonops.errors import ConfigError
from tritonops.models.catalog import Catalog
from tritonops.models.config import VARIANTS, Variant, keep_policy, served_policy, source_path, wanted_config
from tritonops.models.pbtxt import ModelConfig, VersionPolicy, read_text, set_version_policy
from tritonops.models.repository import Repository
from tritonops.triton.disk import parse_once

_DEFAULT_POLICY = VersionPolicy("latest")


@dataclass(frozen=True)
class WantedConfig:
    """A model's config as it is and as it should be."""

    path: Path
    there: str | None
    text: str | None
    """What it should be; None where there is none, and none can be had: `problem` says why."""
    config: ModelConfig | None
    """`text`, parsed."""
    problem: str | None = None

    @property
    def differs(self) -> bool:
        """Whether it has to be written."""
        return self.text is not None and self.text != self.there

    @property
    def policy(self) -> VersionPolicy:
        """Which versions Triton is to serve."""
        return (VersionPolicy.of(self.config) if self.config is not None else None) or _DEFAULT_POLICY

    @property
    def is_chosen(self) -> bool:
        """Whether the policy was set with triton.serve."""
        return served_policy(self.text or "") is not None

    @property
    def diff(self) -> str | None:
        """From the config on disk to the wanted one; None where they agree."""
        if not self.differs:
            return None
        lines = (self.there or "").splitlines(), (self.text or "").splitlines()
        return "\n".join(difflib.unified_diff(*lines, str(self.path) if self.there else "/dev/null", "triton-config", lineterm=""))


def wanted_for(
    catalog: Catalog, repository: Repository, config_dir: Path, name: str, *, variant: Variant | None
) -> WantedConfig:
    """Work out the config of a model of models.toml.

    Without a `variant`, one on disk that is either the GPU's or the CPU's is right, and else it is the GPU's. A model
    that has a config on disk and none in triton-config keeps it.
    """
    path = repository.config_path(name)
    there = read_text(path) if path.exists() else None
    sources = {each: source_path(config_dir, name, each) for each in ((variant,) if variant else VARIANTS)}
    texts = {
        each: keep_policy(there or "", wanted_config(catalog, name, read_text(source)))
        for each, source in sources.items()
        if source.exists()
    }
    chosen = variant or VARIANTS[0]
    if there is not None and (there in texts.values() or not texts):
        return _parsed(WantedConfig(path, there, there, None), where=path)
    if chosen not in texts:
        return WantedConfig(path, there, None, None, f"there is no {source_path(config_dir, name, chosen)}")
    return _parsed(WantedConfig(path, there, texts[chosen], None), where=sources[chosen])


def without_undeclared(wanted: WantedConfig, declared: set[int], on_disk: tuple[int, ...]) -> WantedConfig:
    """Take versions that models.toml does not have out of the policy, as triton.serve would."""
    picked = {*wanted.policy.served(on_disk)}
    if wanted.text is None or wanted.config is None or picked <= declared:
        return wanted
    versions = tuple(sorted(picked & declared or declared))
    text = set_version_policy(wanted.text, VersionPolicy("specific", versions=versions))
    return _parsed(replace(wanted, text=text), where=wanted.path)


def _parsed(wanted: WantedConfig, *, where: Path) -> WantedConfig:
    try:
        return replace(wanted, config=parse_once(wanted.text or "", str(where)))
    except ConfigError as exc:
        return replace(wanted, problem=str(exc))
