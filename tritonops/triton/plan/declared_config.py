"""The config.pbtxt that a model should have: what triton-config and models.toml ask for."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

from tritonops.errors import ConfigError
from tritonops.models.catalog.catalog import Catalog
from tritonops.models.configs.declared import keep_policy, served_policy, wanted_config
from tritonops.models.configs.pbtxt import ModelConfig, read_text
from tritonops.models.configs.variants import VARIANTS, Variant, source_path
from tritonops.models.configs.version_policy import VersionPolicy, set_version_policy
from tritonops.models.disk.repository import Repository
from tritonops.triton.dependents import ensemble_steps
from tritonops.triton.served_folder import parse_once, policy_of


@dataclass(frozen=True)
class DeclaredConfig:
    """A model's config as it is and as it should be."""

    path: Path
    there: str | None
    text: str | None
    """What it should be; None where there is none, and none can be had: `problem` says why."""
    where: Path
    """The file that `text` was taken from."""
    lacks: str | None = None
    """Why there is no text."""
    is_proven: bool = False
    """Triton has loaded this very text. Parsing is slow, and spared then."""

    @property
    def problem(self) -> str | None:
        """Why it will not do; None where it will."""
        if self.is_proven:
            return None
        try:
            self._parsed()
        except ConfigError as exc:
            return str(exc)
        return self.lacks

    @property
    def config(self) -> ModelConfig | None:
        """What the text says; None where it says nothing."""
        return None if self.text is None or self.problem else self._parsed()

    def _parsed(self) -> ModelConfig:
        return parse_once(self.text or "", str(self.where))

    @property
    def differs(self) -> bool:
        """Whether it has to be written."""
        return self.text is not None and self.text != self.there

    @property
    def policy(self) -> VersionPolicy:
        """Which versions Triton is to serve."""
        return policy_of(self.config if "version_policy" in (self.text or "") else None)

    @property
    def steps(self) -> tuple[str, ...]:
        """Of an ensemble: the models that it consists of."""
        config = self.config if "ensemble_scheduling" in (self.text or "") else None
        return tuple(ensemble_steps(config)) if config is not None else ()

    @property
    def is_chosen(self) -> bool:
        """Whether the policy was set with triton.serve."""
        return served_policy(self.text or "") is not None

    @property
    def diff(self) -> str | None:
        """From the config on disk to the declared one; None where they agree."""
        if not self.differs:
            return None
        lines = (self.there or "").splitlines(), (self.text or "").splitlines()
        source = str(self.path) if self.there is not None else "/dev/null"
        return "\n".join(difflib.unified_diff(*lines, source, "triton-config", lineterm=""))


def declared_config(
    catalog: Catalog,
    repository: Repository,
    config_dir: Path,
    name: str,
    *,
    variant: Variant | None,
    loaded: str | None = None,
) -> DeclaredConfig:
    """Work out the config of a model of models.toml.

    Without a `variant`, one on disk that is either the GPU's or the CPU's is right, and else it is the GPU's. A model
    that has a config on disk and none in triton-config keeps it. `loaded` is a text that Triton is known to take.
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
        return DeclaredConfig(path, there, there, path, is_proven=there == loaded)
    if chosen not in texts:
        return DeclaredConfig(path, there, None, path, f"there is no {sources[chosen]}")
    return DeclaredConfig(path, there, texts[chosen], sources[chosen])


def without_undeclared(config: DeclaredConfig, declared: set[int], on_disk: tuple[int, ...]) -> DeclaredConfig:
    """Take versions that models.toml does not have out of the policy, as triton.serve would."""
    picked = {*config.policy.served(on_disk)}
    if config.text is None or config.config is None or picked <= declared:
        return config
    versions = tuple(sorted(picked & declared or declared))
    text = set_version_policy(config.text, VersionPolicy("specific", versions=versions))
    return replace(config, text=text, is_proven=False)
