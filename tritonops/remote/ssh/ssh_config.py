"""The settings of a host in ssh_config, as OpenSSH itself reads them.

`ssh -G` knows every keyword (Include, Match, tokens, defaults). A second parser would know some of them, and rsync,
which runs ssh, would then connect differently.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import InputError

CONNECT_TIMEOUT = 10.0
KEEPALIVE = 15.0
_NAME = re.compile(r"(ssh://)?[A-Za-z0-9_][A-Za-z0-9_.@:%\[\]-]*")


@dataclass(frozen=True)
class SshConfig:
    """The settings of one host that a connection needs."""

    name: str
    """As given: an alias, a name, user@name."""
    file: Path | None
    hostname: str
    port: int
    user: str
    identities: tuple[Path, ...]
    use_agent: bool
    known_hosts: tuple[Path, ...]
    host_key_alias: str | None
    jumps: tuple[str, ...]
    """ProxyJump: the hops in their order."""
    proxy_command: str | None
    connect_timeout: float
    keepalive: float

    @property
    def known_as(self) -> str:
        """The name of this server in a known_hosts file."""
        return self.host_key_alias or self.address

    @property
    def address(self) -> str:
        """Host and port as known_hosts writes them, without port 22."""
        return self.hostname if self.port == 22 else f"[{self.hostname}]:{self.port}"

    @property
    def command(self) -> list[str]:
        """The ssh command of rsync: the same settings, no prompts, no unknown keys."""
        options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
        options += ["-o", f"ConnectTimeout={round(self.connect_timeout)}"]
        options += ["-o", f"ServerAliveInterval={round(self.keepalive)}"]
        return [*self.plain_command, *options]

    @property
    def plain_command(self) -> list[str]:
        """The ssh command of the hints, without the host."""
        return ["ssh", *(["-F", str(self.file)] if self.file else [])]


def read_ssh_config(name: str, *, file: Path | None = None) -> SshConfig:
    """Ask OpenSSH for its settings of `name`; `file` replaces ~/.ssh/config and the system's, as `ssh -F` does.

    Raises InputError for an invalid name, a missing or invalid file, and a missing ssh.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a host", hint="Give an alias of ssh_config, a host name, or user@host.")
    options = _ask_ssh(name, file)
    return SshConfig(
        name=name,
        file=file,
        hostname=options["hostname"][0],
        port=int(options["port"][0]),
        user=options["user"][0],
        identities=tuple(_expanded(path, options) for path in options.get("identityfile", [])),
        use_agent=options.get("identitiesonly") != ["yes"] and options.get("identityagent") != ["none"],
        known_hosts=tuple(_expanded(path, options) for path in _known_hosts(options)),
        host_key_alias=options.get("hostkeyalias", [None])[0],
        jumps=_jumps(options),
        proxy_command=_unless_none(options, "proxycommand"),
        connect_timeout=float(_unless_none(options, "connecttimeout") or CONNECT_TIMEOUT),
        keepalive=float(options["serveraliveinterval"][0]) or KEEPALIVE,
    )


def _ask_ssh(name: str, file: Path | None) -> dict[str, list[str]]:
    command = ["ssh", *(["-F", str(file)] if file else []), "-G", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as exc:
        raise InputError("ssh is not installed", hint="Debian, Ubuntu: sudo apt install openssh-client") from exc
    if done.returncode:
        raise InputError(f"ssh cannot read its configuration for {name}: {done.stderr.strip()}")
    options: dict[str, list[str]] = {}
    for keyword, _, value in (line.partition(" ") for line in done.stdout.splitlines()):
        options.setdefault(keyword, []).append(value)
    return options


def _known_hosts(options: dict[str, list[str]]) -> list[str]:
    lines = options.get("userknownhostsfile", []) + options.get("globalknownhostsfile", [])
    return [path for line in lines for path in line.split() if path != "none"]


def _jumps(options: dict[str, list[str]]) -> tuple[str, ...]:
    jumps = _unless_none(options, "proxyjump")
    return tuple(jumps.split(",")) if jumps else ()


def _unless_none(options: dict[str, list[str]], keyword: str) -> str | None:
    value = options.get(keyword, ["none"])[0]
    return None if value == "none" else value


def _expanded(path: str, options: dict[str, list[str]]) -> Path:
    for token, keyword in {"%h": "hostname", "%p": "port", "%r": "user"}.items():
        path = path.replace(token, options[keyword][0])
    path = path.replace("%d", "~").replace("%%", "%")
    try:
        return Path(path).expanduser()  # as OpenSSH: by the user database where HOME is not set
    except RuntimeError as exc:
        raise InputError(f"the SSH configuration for {options['hostname'][0]} names {path}: {exc}") from exc
