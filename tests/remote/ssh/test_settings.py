"""A host that ssh reaches is reached, and one that it refuses is refused with its reason: settings people have."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.remote.ssh.settings_cases import CASES, DEFAULTS, SERVERS, Case
from tests.remote.sshd import Fleet, Server, free_port, make_key, wait_until
from tritonops.errors import TritonOpsError
from tritonops.remote.ssh.host import Host

KEY_ONLY = "Host h\n{options}\nPort {port}\n" + DEFAULTS.replace("IdentityFile {folder}/id\n", "").replace(
    "IdentityAgent none\n", ""
)


class World:
    """The servers, keys, files and agents that the cases speak of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fleet, self.agents = Fleet(folder), list[subprocess.Popen[bytes]]()
        self.servers: dict[str, Server] = {}
        self.spaced = folder / "a folder"
        self.spaced.mkdir()

    def prepare(self) -> None:
        folder = self.folder
        self._make_keys()
        (folder / "banner.txt").write_text("Authorized use only\nAll is logged\n")
        for name, settings in SERVERS.items():
            self.servers[name] = self._server(name, settings)
        self._make_files()

    def values(self, case: Case) -> dict[str, str]:
        """What the names in the texts of a case stand for."""
        server = self.servers[case.server]
        values = {
            "folder": str(self.folder),
            "user": getpass.getuser(),
            "port": str(server.port),
            "jump_port": str(self.servers["jump"].port),
            "free": str(free_port()),
            "long": "x" * 100,
            "key": server.host_key.strip(),
            "rsa_key": (self.folder / "rsa_host_key.pub").read_text().strip(),
            "other_key": (self.folder / "other.pub").read_text().strip(),
            "ca": (self.folder / "ca.pub").read_text().strip(),
        }
        values["hashed"] = self._hashed(f"[127.0.0.1]:{server.port} {values['key']}")
        values["defaults"] = DEFAULTS.format_map(values)
        values["options"] = case.options.format_map(values)
        values["key_only"] = KEY_ONLY.format_map(values)
        return values

    def write(self, case: Case) -> Path:
        """Write ssh_config and known_hosts of a case, and give the former."""
        values = self.values(case)
        known = case.known.format_map(values) + "\n" + self._known(["jump", "inner"])
        (self.folder / "known_hosts").write_bytes(known.encode(errors="surrogateescape"))
        config = self.folder / "ssh_config"
        text = case.config.format_map(values)
        jumps = (self.folder / "jumps").read_text()
        config.write_text(f"{jumps}\n{text}" if "Proxy" in case.options else text)
        plain = Case("", config="Host h\nPort {port}\n{defaults}")
        for name in ("included", "a folder/included"):
            (self.folder / name).write_text(plain.config.format_map(values))
        for name in ("a folder/known", "global_known", "from_command"):
            (self.folder / name).write_text(f"[127.0.0.1]:{values['port']} {values['key']}\n")
        link = self.folder / f"id_h_{values['port']}"
        link.unlink(missing_ok=True)
        link.symlink_to(self.folder / "id")
        return config

    def environment(self, case: Case) -> dict[str, str]:
        """The environment of a case, with its agent."""
        kept = {name: value for name, value in os.environ.items() if name not in ("SSH_AUTH_SOCK", "DISPLAY")}
        return kept | ({"SSH_AUTH_SOCK": str(self.folder / f"agent-{case.agent}")} if case.agent else {})

    def stop(self) -> None:
        for agent in self.agents:
            agent.terminate()
            agent.wait()
        self.fleet.stop()

    def _server(self, name: str, settings: Mapping[str, str]) -> Server:
        values = {"folder": str(self.folder)}
        options = {option: value.format_map(values) for option, value in settings.items()}
        if "HostCertificate" in options:
            self._certify(name)
        return self.fleet.add(name, settings=options)

    def _certify(self, name: str) -> None:
        """Make the host's key, which the server will take as it is, and let the authority sign it."""
        (self.folder / name).mkdir()
        make_key(self.folder / name / "host_key")
        self._sign("host", "-h", "-n", "127.0.0.1", str(self.folder / name / "host_key.pub"))

    def _make_keys(self) -> None:
        for name in ("ca", "other", "open", "locked", *(f"many_{number}" for number in range(8))):
            make_key(self.folder / name)
        (self.folder / "open").write_bytes((self.folder / "id").read_bytes())
        (self.folder / "open").chmod(0o644)
        (self.folder / "locked").write_bytes((self.folder / "id").read_bytes())
        change = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "a passphrase", "-f", str(self.folder / "locked")]
        subprocess.run(change, check=True, capture_output=True)
        (self.spaced / "id").write_bytes((self.folder / "id").read_bytes())
        (self.spaced / "id").chmod(0o600)
        rsa = ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(self.folder / "rsa_host_key")]
        subprocess.run(rsa, check=True)
        (self.folder / "user.pub").write_text((self.folder / "id.pub").read_text())
        self._sign("me", "-n", getpass.getuser(), str(self.folder / "user.pub"))

    def _sign(self, identity: str, *words: str) -> None:
        command = ["ssh-keygen", "-q", "-s", str(self.folder / "ca"), "-I", identity, *words]
        subprocess.run(command, check=True)

    def _make_files(self) -> None:
        lines = DEFAULTS.format(folder=self.folder)
        blocks = [f"Host {name}\nPort {self.servers[name].port}\n{lines}" for name in ("jump", "inner")]
        blocks.append(f"Host behind\nPort {self.servers['inner'].port}\nProxyJump jump\n{lines}")
        blocks.append(f"Host nowhere\nPort {free_port()}\n{lines}")
        (self.folder / "jumps").write_text("\n".join(blocks))
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self.folder / "dead"))
        relay = self.spaced / "relay"
        relay.write_text(f'#!/bin/sh\nexec ssh -F "{self.folder}/jumps" -W "$1:$2" jump\n')
        relay.chmod(0o755)
        self._agent("ours", ["id"])
        self._agent("many", [*(f"many_{number}" for number in range(8)), "id"])

    def _agent(self, name: str, keys: list[str]) -> None:
        path = self.folder / f"agent-{name}"
        self.agents.append(subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL))
        wait_until(path.exists, "ssh-agent")
        for key in keys:
            add = ["ssh-add", "-q", str(self.folder / key)]
            subprocess.run(add, env={**os.environ, "SSH_AUTH_SOCK": str(path)}, check=True, capture_output=True)

    def _known(self, names: list[str]) -> str:
        return "".join(f"[127.0.0.1]:{self.servers[name].port} {self.servers[name].host_key}" for name in names)

    def _hashed(self, line: str) -> str:
        file = self.folder / "to_hash"
        file.write_text(f"{line}\n")
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
        return file.read_text().strip()


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("w"))
    try:
        made.prepare()
        yield made
    finally:
        made.stop()


def reached_by_ssh(config: Path, name: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    strict = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "RemoteCommand=none"]
    command = ["ssh", "-F", str(config), *strict, "-o", "RequestTTY=no", name, "true"]
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        errors="replace",
    )


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_host_is_reached_exactly_where_ssh_reaches_it(world, monkeypatch, case):
    config, name = world.write(case), case.host.format_map(world.values(case))
    environment = world.environment(case)
    expected = reached_by_ssh(config, name, environment)
    for variable in ("SSH_AUTH_SOCK", "DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    if case.agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", environment["SSH_AUTH_SOCK"])
    with Host(name, ssh_config=config) as host:
        if expected.returncode == 0 or case.is_about_sharing:
            assert host.run("echo in").stdout == "in\n"
            return
        with pytest.raises(TritonOpsError) as caught:
            host.run("true")
    reason = reason_of(expected.stderr)
    shown = str(caught.value)
    own_words = ("UnknownHostKeyError", "ChangedHostKeyError")
    assert reason in shown or type(caught.value).__name__ in own_words or "marked as revoked" in shown, shown
    assert caught.value.hint or "configuration" in shown
    assert "Traceback" not in shown


def reason_of(stderr: str) -> str:
    """The line of ssh that says most: the last one that is no mere echo of the others."""
    echoes = ("Host key verification failed", "Connection closed by UNKNOWN", "kex_exchange_identification")
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith(echoes)]
    return lines[-1] if lines else ""


def test_the_cases_are_reached_and_refused_in_good_number(world):
    found = [
        reached_by_ssh(world.write(case), case.host.format_map(world.values(case)), world.environment(case)).returncode
        for case in CASES[::8]
    ]
    assert 0 in found
    assert 255 in found
