"""hosts.toml: the hosts, their groups, and how each serves."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tritonops.errors import InputError, UnknownHostError, near_misses

_CHOICES = {"config": ("gpu", "cpu"), "runtime": ("compose", "embedded")}


@dataclass(frozen=True)
class HostSettings:
    """How one host serves."""

    name: str
    config: str = "gpu"
    runtime: str = "compose"
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                raise InputError(f"hosts.toml, {self.name}: {key} must be one of {', '.join(choices)}")
        if (self.config, self.runtime) == ("gpu", "embedded"):
            raise InputError(f'hosts.toml, {self.name}: the embedded runtime serves on CPU only: config = "cpu"')

    def serves(self, meant: Sequence[str]) -> bool:
        """Whether an entry of models.toml with these `hosts` is for this host; with none it is for all."""
        return not meant or not {self.name, *self.groups}.isdisjoint(meant)


@dataclass(frozen=True)
class Inventory:
    """The hosts of hosts.toml, in its order."""

    hosts: Mapping[str, HostSettings]

    def settings(self, name: str) -> HostSettings:
        """Give a host's settings; the defaults where hosts.toml does not have it: an ssh_config alias is enough."""
        return self.hosts.get(name) or HostSettings(name)

    def select(self, hosts: Sequence[str], groups: Sequence[str]) -> list[HostSettings]:
        """List the hosts that were named, and those of the groups, each once. Raises InputError where none is."""
        names = [*hosts, *(name for group in groups for name in self._members(group))]
        if not names:
            raise InputError("which host?", hint="Name it: --host gpu-01, or --group GROUP of hosts.toml.")
        return [self.settings(name) for name in dict.fromkeys(names)]

    def _members(self, group: str) -> list[str]:
        members = [host.name for host in self.hosts.values() if group in host.groups]
        if not members:
            known = {group for host in self.hosts.values() for group in host.groups}
            hint = near_misses(group, known) if known else "It has no groups at all."
            raise UnknownHostError(f"hosts.toml has no group {group!r}", hint=hint)
        return members


def load_inventory(path: Path) -> Inventory:
    """Read hosts.toml; no file means no entries. Raises InputError that names the host and the key."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Inventory({})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InputError(f"{path}: {exc}") from exc
    _refuse_unknown("hosts.toml", said, {"hosts"})
    hosts = said.get("hosts", {})
    if not isinstance(hosts, dict) or not all(isinstance(entry, dict) for entry in hosts.values()):
        raise InputError(f"{path}: want one table a host: [hosts.gpu-01]")
    return Inventory({name: _host(name, entry) for name, entry in hosts.items()})


def _host(name: str, entry: Mapping[str, Any]) -> HostSettings:
    _refuse_unknown(f"hosts.toml, {name}", entry, {"config", "runtime", "groups"})
    groups = entry.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise InputError(f"hosts.toml, {name}: groups must be a list of names")
    return HostSettings(name, **{**entry, "groups": tuple(groups)})


def _refuse_unknown(where: str, entry: Mapping[str, Any], known: set[str]) -> None:
    for key in entry:
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r}", hint=near_misses(key, known))
