"""Which hosts and Kubernetes targets an entry of models.toml is for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def is_for(hosts: Sequence[str], names: Iterable[str]) -> bool:
    """Whether an entry with these `hosts` is for what has one of these names or groups; without any it is for all."""
    return not hosts or not set(hosts).isdisjoint(names)
