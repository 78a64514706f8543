"""Whether a host is fit to serve: the checks of `remote.doctor`, some of them before each deploy."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tritonops.compose.engine.machine import engine_machine, is_loopback
from tritonops.errors import DeployError
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.layout.scripts import script

# The fixes: docs/security.md. 25.02 is the last image with TensorFlow, and has none of them.
FIXED_IN = (26, 3)
_CLOCK_OFF = 120
# The first release installs the Python environment; the download of models counts its own bytes.
_FREE_AT_FIRST, _FREE_LATER = 2_000_000_000, 200_000_000
_INODES_AT_FIRST, _INODES_LATER = 60_000, 2_000


class HostAnswers:
    """The answers of a host to preflight.sh, and its settings."""

    def __init__(self, answers: Mapping[str, Sequence[str]], host_settings: HostSettings) -> None:
        self.answers, self.host_settings = answers, host_settings

    @property
    def compose(self) -> bool:
        """Whether it serves in Docker Compose."""
        return self.host_settings.runtime == "compose"

    @property
    def gpu(self) -> bool:
        """Whether it serves on GPUs."""
        return self.host_settings.config == "gpu"

    def one(self, key: str) -> str:
        """Give the only answer under this key; empty without one."""
        return next(iter(self.answers.get(key, [""])), "")

    def number(self, key: str) -> int:
        """Give the answer as an integer; 0 if it is none."""
        return int(self.one(key)) if self.one(key).isdigit() else 0

    @property
    def rootless(self) -> bool:
        """Whether the Docker engine of this user is rootless."""
        return "name=rootless" in self.one("security") or "name=rootless" in self.one("own")

    def has(self, tool: str) -> bool:
        """Whether the host has this command."""
        return tool in self.answers.get("has", [])


@dataclass(frozen=True)
class Check:
    """One requirement of a host; `is_met` gives None where it does not apply or is unknown."""

    name: str
    is_met: Callable[[HostAnswers], bool | None]
    problem: str
    remedy: str
    rootless: str | None = None
    """The remedy for a rootless Docker."""

    def remedy_for(self, answers: HostAnswers) -> str:
        """Choose the remedy for this kind of Docker."""
        return self.rootless if self.rootless and answers.rootless else self.remedy


@dataclass(frozen=True)
class PreflightResult:
    """The result of a check."""

    check: str
    state: Literal["ok", "problem", "not asked"]
    problem: str | None = None
    remedy: str | None = None


NEEDS = (
    Check("rsync", lambda answers: answers.has("rsync"), "rsync is not installed", "sudo apt install rsync"),
    Check(
        "find",
        lambda answers: answers.has("find"),
        "its `find` has no -printf, without which a change of the models cannot be seen",
        "install GNU findutils: apk add findutils",
    ),
    Check(
        "python",
        lambda answers: bool(answers.one("python")) or answers.has("uv"),
        "there is neither Python 3.11 to 3.13 with venv, nor uv",
        "sudo apt install python3 python3-venv",
    ),
    Check(
        "docker",
        lambda answers: answers.one("engine")[:1].isdigit() if answers.compose else None,
        "no Docker engine answers this user",
        'install Docker Engine, add the user to the group docker, or set runtime = "embedded" in hosts.toml',
        rootless="as this user: docker context use rootless",
    ),
    Check(
        "engine",
        lambda answers: engine_machine(answers.one("endpoint"), is_loopback) is None if answers.compose else None,
        "docker there talks to the engine of another machine, where this host cannot prove what is served",
        "deploy to that machine; or on this one: docker context use default, and no DOCKER_HOST",
    ),
    Check(
        "compose",
        lambda answers: bool(answers.one("compose")) if answers.compose else None,
        "Docker has no Compose v2",
        "sudo apt install docker-compose-plugin",
    ),
    Check(
        "gpu",
        lambda answers: answers.number("gpus") > 0 if answers.gpu else None,
        "nvidia-smi lists no GPU",
        'install the NVIDIA driver, or set config = "cpu" in hosts.toml',
    ),
    Check(
        "toolkit",
        lambda answers: _has_toolkit(answers) if answers.gpu and answers.compose else None,
        "Docker has no NVIDIA Container Toolkit",
        "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker",
        rootless="install nvidia-container-toolkit, then as this user: nvidia-ctk runtime configure --runtime=docker "
        "--config=$HOME/.config/docker/daemon.json; sudo nvidia-ctk config --set nvidia-container-cli.no-cgroups "
        "--in-place; systemctl --user restart docker",
    ),
    Check(
        "gpu in a container",
        lambda answers: answers.number("contained") > 0 if answers.one("contained") else None,
        "a container sees no GPU",
        "docker run --rm --gpus all IMAGE nvidia-smi says why",
    ),
    Check(
        "disk",
        lambda answers: answers.number("free") * 1024 >= (_FREE_LATER if answers.one("venv") else _FREE_AT_FIRST),
        "the disk is full: 200 MB must be free, and 2 GB before the first deploy",
        "inv remote.run --host HOST -- models.prune --yes, or a larger disk",
    ),
    Check(
        "inodes",
        lambda answers: _has_inodes(answers) if answers.one("inodes") else None,
        "the filesystem has no room for more files: 2,000 inodes must be free, and 60,000 before the first deploy",
        "df -i there; remove small files, or make a filesystem with more inodes",
    ),
    Check(
        "writing",
        lambda answers: bool(answers.one("writes")),
        "this user cannot write to the folder of TRITON_REMOTE_DIR",
        "chown the folder, or set TRITON_REMOTE_DIR to one of this user's",
    ),
    Check(
        "execution",
        lambda answers: bool(answers.one("executes")) if answers.one("writes") else None,
        "no program can run in the folder of TRITON_REMOTE_DIR: it is mounted noexec",
        "set TRITON_REMOTE_DIR to a folder on another filesystem, or: sudo mount -o remount,exec MOUNT_POINT",
    ),
    Check(
        "path",
        lambda answers: not answers.one("colon"),
        "the path of the folder has a colon, which PATH and Docker's volumes take for a separator",
        "set TRITON_REMOTE_DIR to a folder without one",
    ),
)
MORE = (
    Check(
        "linger",
        lambda answers: bool(answers.one("linger")) if answers.compose and answers.rootless else None,
        "the rootless engine, and Triton with it, may end when its user logs out",
        "sudo loginctl enable-linger, with the user's name",
    ),
    Check(
        "clock",
        lambda answers: abs(answers.number("now") - time.time()) < _CLOCK_OFF,
        "its clock and the local one differ by more than two minutes",
        "sudo timedatectl set-ntp true, on the machine that is wrong",
    ),
    Check(
        "driver",
        lambda answers: bool(answers.one("driver")) if answers.gpu else None,
        "the NVIDIA driver does not answer",
        "install it, and restart the host",
    ),
    Check(
        "shared memory",
        lambda answers: None if answers.compose else answers.number("memory") * 1024 >= 256_000_000,
        "less than 256 MB of shared memory are free; Python-based backends pass tensors through it",
        "a larger /dev/shm",
    ),
    Check(
        "ports",
        lambda answers: not _open_ports(answers),
        "a port of Triton is open to the network",
        "unset TRITON_BIND with inv remote.env; reach Triton through inv triton.list --host HOST",
    ),
    Check(
        "image",
        lambda answers: _is_fixed(answers.one("image")) if answers.compose else None,
        f"the image is older than {FIXED_IN[0]}.{FIXED_IN[1]:02d}, and has known security holes",
        "inv remote.env: TRITON_IMAGE=… of a newer release",
    ),
)


def preflight(host_settings: HostSettings, *, venv: str, image: str, folder: str | None = None) -> str:
    """Write the script of questions: `venv` is the digest of a release's requirements.

    An empty `image` is that of the current release. With a `folder`, the script enters it first.
    """
    compose, gpu = host_settings.runtime == "compose", host_settings.config == "gpu"
    names, root = (["enter_folder"], {"root": folder}) if folder else ([], {})
    names += ["answer", "preflight"]
    return script(*names, **root, venv=venv, image=image, compose=compose, gpu_in_container=compose and gpu)


def require_fit(host: str, answers: HostAnswers) -> None:
    """Raise DeployError that names each requirement that is not met."""
    missing = [check for check in NEEDS if check.is_met(answers) is False]
    if missing:
        problems = "\n".join(f"  {check.problem}: {check.remedy_for(answers)}" for check in missing)
        raise DeployError(f"{host} is not ready for a deploy:\n{problems}", hint=f"inv remote.doctor --host {host}")


def run_check(check: Check, answers: HostAnswers) -> PreflightResult:
    """Apply a check to the answers of a host."""
    is_met = check.is_met(answers)
    if is_met is None:
        return PreflightResult(check.name, "not asked")
    return (
        PreflightResult(check.name, "ok")
        if is_met
        else PreflightResult(check.name, "problem", check.problem, check.remedy_for(answers))
    )


def _has_inodes(answers: HostAnswers) -> bool:
    return answers.number("inodes") >= (_INODES_LATER if answers.one("venv") else _INODES_AT_FIRST)


def _has_toolkit(answers: HostAnswers) -> bool:
    """Docker finds GPUs by a runtime, a hook or the config of nvidia-ctk; a visible GPU proves it."""
    tools = ("nvidia-ctk", "nvidia-container-runtime-hook")
    return (
        "nvidia" in answers.one("runtimes").split() or any(map(answers.has, tools)) or answers.number("contained") > 0
    )


def _open_ports(answers: HostAnswers) -> list[str]:
    """List the addresses other than loopback on which a port of Triton listens."""
    ports = answers.one("ports").split()
    addresses = [address.rpartition(":") for address in answers.answers.get("listens", [])]
    return [f"{host}:{port}" for host, _, port in addresses if port in ports and not _is_loopback(host)]


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host in ("[::1]", "[::ffff:127.0.0.1]")


def _is_fixed(image: str) -> bool | None:
    """Compare the release in NVIDIA's tag ("26.07-py3"); None for any other image."""
    found = re.search(r"nvidia/tritonserver:(\d\d)\.(\d\d)", image)
    return (int(found[1]), int(found[2])) >= FIXED_IN if found else None
