"""Models that were added to shared/triton by hand, and are in models.toml of no release.

They belong to the host, not to a release: a switch in either direction does not change them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tritonops.documents import MAX_RECORD
from tritonops.files import read_text_if_present
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.disk.hard_links import link_or_copy
from tritonops.models.disk.repository import Repository
from tritonops.remote.layout.paths import Layout, Release


@dataclass(frozen=True)
class ByHand:
    """The models that were added by hand."""

    kept: tuple[str, ...] = ()
    """Those that stay in service."""
    pruned: tuple[str, ...] = ()
    """Those that are moved to shared/triton-disabled."""


def listed_models(release: Release) -> frozenset[str]:
    """Read the names of the models in a release's models.toml."""
    text = read_text_if_present(release.listed, MAX_RECORD)
    return frozenset(load_catalog(release.project / "models.toml").names if text is None else text.splitlines())


def save_listed(release: Release, names: Collection[str]) -> None:
    """Save the names for digests.sh, which cannot read TOML."""
    release.listed.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def carry_over(layout: Layout, release: Release, *, prune: bool = False, ignore: Collection[str] = ()) -> ByHand:
    """Add the models that were added by hand to `release`; with `prune`, disabled.

    Those in its own models.toml, and those of `ignore`, do not count as added by hand.
    """
    current, own = layout.current, listed_models(release)
    not_by_hand = own.union(ignore, listed_models(current) if current else ())
    source, target = Repository(layout.models_dir), Repository(release.models_dir)
    # A model by hand that the current release declares under its name is still the one that this release served.
    declared = listed_models(current) if current else frozenset[str]()
    own_by_hand = [] if prune else [name for name in target.enabled_names() if name in declared - own]
    for folder in (target.root / name for name in target.enabled_names() if name not in own.union(own_by_hand)):
        _remove(folder)
    for folder in (target.disabled / name for name in target.disabled_names() if name not in own):
        _remove(folder)
    enabled = [name for name in source.enabled_names() if name not in not_by_hand]
    disabled = [name for name in source.disabled_names() if name not in not_by_hand]
    for name in enabled:
        _link(source.root / name, (target.disabled if prune else target.root) / name)
    for name in disabled:
        _link(source.disabled / name, target.disabled / name)
    return ByHand((), tuple(enabled)) if prune else ByHand((*enabled, *own_by_hand))


def _link(model: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if model.is_symlink():
        target.symlink_to(model.resolve())
    elif not os.path.lexists(target):
        shutil.copytree(model, target, copy_function=link_or_copy, symlinks=True)


def _remove(folder: Path) -> None:
    folder.unlink() if folder.is_symlink() else shutil.rmtree(folder)
