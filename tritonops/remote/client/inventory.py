"""hosts.toml: the hosts, their groups and settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tritonops.documents import MAX_TOML, abbreviate, parse_toml
from tritonops.errors import InputError, UnknownHostError, near_misses
from tritonops.files import read_text_if_present
from tritonops.models.catalog.lines import statement_line
from tritonops.models.catalog.placement import is_for

_LOGIN = re.compile(r"(.*@)?(?P<host>[^@]+)")
_URL = re.compile(r"ssh://(.*@)?(?P<host>\[[^]]*\]|[^@:/]+)(:\d+)?/?")
_KEYS = {"config", "runtime", "groups"}
_CHOICES: dict[str, tuple[str, ...]] = {"config": ("gpu", "cpu"), "runtime": ("compose", "embedded")}


@dataclass(frozen=True)
class HostSettings:
    """The settings of one host."""

    name: str
    """As given to --host: `root@gpu-01` has the entry of gpu-01."""
    config: str = "gpu"
    runtime: str = "compose"
    groups: tuple[str, ...] = ()

    @property
    def alias(self) -> str:
        """The name without the remote user."""
        return host_alias(self.name)

    def serves(self, hosts: Sequence[str]) -> bool:
        """Whether an entry of models.toml with these `hosts` is for this host."""
        return is_for(hosts, (self.name, self.alias, *self.groups))


@dataclass(frozen=True)
class Inventory:
    """The hosts of hosts.toml, in its order."""

    hosts: Mapping[str, HostSettings]

    def settings(self, name: str) -> HostSettings:
        """Give a host's settings; the defaults without an entry: an ssh_config alias is enough."""
        entry = self.hosts.get(name) or self.hosts.get(host_alias(name))
        return replace(entry, name=name) if entry else HostSettings(name)

    def select(self, hosts: Sequence[str], groups: Sequence[str]) -> list[HostSettings]:
        """List the named hosts and those of the groups, each once. Raises InputError for none."""
        names = [*hosts, *(name for group in groups for name in self._members(group))]
        if not names:
            raise InputError("no host was given", hint="--host gpu-01, or --group GROUP of hosts.toml")
        return [self.settings(name) for name in dict.fromkeys(names)]

    @property
    def groups(self) -> frozenset[str]:
        """All groups."""
        return frozenset(group for host in self.hosts.values() for group in host.groups)

    def _members(self, group: str) -> list[str]:
        members = [host.name for host in self.hosts.values() if group in host.groups]
        if not members:
            hint = near_misses(group, self.groups, "groups") or "hosts.toml has no groups."
            raise UnknownHostError(f"hosts.toml has no group {group!r}", hint=hint)
        return members


def host_alias(name: str) -> str:
    """Remove the user and the parts of a URL from a name: `ssh://root@gpu-01:22` is gpu-01."""
    found = _URL.fullmatch(name) or _LOGIN.fullmatch(name)
    return found["host"] if found else name


def load_inventory(path: Path) -> Inventory:
    """Read hosts.toml; a missing file has no entries. Raises InputError that names host, key and line."""
    text = read_text_if_present(path, MAX_TOML)
    if text is None:
        return Inventory({})
    document = parse_toml(text, path)
    hosts = document.get("hosts", {})
    for key in document:
        if key != "hosts":
            raise _error(path, text, (key,), f"unknown key {abbreviate(key)}", hint=near_misses(key, {"hosts"}, "keys"))
    if not isinstance(hosts, dict) or not all(isinstance(entry, dict) for entry in hosts.values()):
        raise _error(path, text, ("hosts",), "expected one table for each host: [hosts.gpu-01]")
    return Inventory({name: _host(path, text, name, entry) for name, entry in hosts.items()})


def _host(path: Path, text: str, name: str, entry: Mapping[str, Any]) -> HostSettings:
    def error(problem: str, *key: str, hint: str | None = None) -> InputError:
        shown = name if re.fullmatch(r"[\w.@-]{1,80}", name) else abbreviate(name)
        return _error(path, text, ("hosts", name, *key), f"{shown}: {problem}", hint=hint)

    for key in entry:
        if key not in _KEYS:
            raise error(f"unknown key {abbreviate(key)}", key, hint=near_misses(key, _KEYS, "keys"))
    for key, choices in _CHOICES.items():
        if entry.get(key, choices[0]) not in choices:
            raise error(f"{key} must be one of {', '.join(choices)}", key)
    groups = entry.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise error("groups must be a list of names", "groups")
    settings = HostSettings(name, **{**entry, "groups": tuple(groups)})
    if (settings.config, settings.runtime) == ("gpu", "embedded"):
        raise error('the embedded runtime serves on CPU only: config = "cpu"')
    return settings


def _error(path: Path, text: str, at: tuple[str, ...], problem: str, *, hint: str | None = None) -> InputError:
    return InputError(f"{path}, line {statement_line(text, at)}: {problem}", hint=hint)
