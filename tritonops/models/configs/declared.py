"""The config.pbtxt that models.toml and triton-config/ ask for, with the version policy that `inv triton.serve` set."""

from __future__ import annotations

from tritonops.errors import ConfigError
from tritonops.models.catalog.catalog import Catalog
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.configs.version_policy import (
    AS_IN_CATALOG,
    SET_WITH_SERVE,
    VersionPolicy,
    has_policy,
    policy_note,
    set_version_policy,
)


def declared_text(catalog: Catalog, name: str, text: str) -> str:
    """Return the config that models.toml and the text of its source declare.

    Triton serves only the newest version by default; where models.toml declares several, all of those are
    meant, unless the source has a policy itself.
    """
    versions = tuple(sorted(version.version for version in catalog.versions_of(name)))
    if len(versions) < 2 or has_policy(text):
        return text
    return set_version_policy(text, VersionPolicy("specific", versions=versions), note=AS_IN_CATALOG)


def keep_policy(current: str, declared: str) -> str:
    """Carry the version policy that triton.serve set in the current config over to the declared one."""
    kept = served_policy(current)
    return set_version_policy(declared, kept) if kept else declared


def served_policy(text: str) -> VersionPolicy | None:
    """Read the policy that was set with triton.serve; None for any other, and for a file that does not parse."""
    # The first test spares tokenising the configs of all models in a plan.
    if SET_WITH_SERVE not in text or policy_note(text) != SET_WITH_SERVE:
        return None
    try:
        return VersionPolicy.of(parse_config(text))
    except ConfigError:
        return None
