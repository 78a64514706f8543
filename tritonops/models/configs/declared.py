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


def wanted_config(catalog: Catalog, name: str, text: str) -> str:
    """Give the config that models.toml and the text of its source ask for.

    Triton serves only the newest version by default; where models.toml declares several, all of those are
    meant, unless the source has a policy itself.
    """
    versions = tuple(sorted(version.version for version in catalog.versions_of(name)))
    if len(versions) < 2 or has_policy(text):
        return text
    return set_version_policy(text, VersionPolicy("specific", versions=versions), note=AS_IN_CATALOG)


def keep_policy(there: str, wanted: str) -> str:
    """Carry the version policy that was set with triton.serve over from the config that is there."""
    kept = served_policy(there)
    return set_version_policy(wanted, kept) if kept else wanted


def served_policy(text: str) -> VersionPolicy | None:
    """Read the policy that was set with triton.serve; None for any other, and for a file that does not parse."""
    # The first test spares tokenising the configs of all models in a plan.
    if SET_WITH_SERVE not in text or policy_note(text) != SET_WITH_SERVE:
        return None
    try:
        return VersionPolicy.of(parse_config(text))
    except ConfigError:
        return None
