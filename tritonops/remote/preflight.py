"""Whether a host is fit for a release, asked before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tritonops.errors import DeployError
from tritonops.remote.layout import Facts

Said = Mapping[str, list[str]]

PREFLIGHT = r"""
say() { printf '%s\t%s\n' "$1" "$2"; }
has() { command -v "$1" >/dev/null 2>&1; }
PATH="$PATH:$HOME/.local/bin"
say now "$(date +%s)"
[ ! -d "${TRITONOPS_VENV:-shared/venvs/$venv}" ] || say venv yes
say free "$(df -Pk . | awk 'NR == 2 { print $4 }')"
for tool in rsync uv docker nvidia-smi git; do if has "$tool"; then say has "$tool"; fi; done
for python in python3.12 python3.11 python3 python3.13; do
    if has "$python" && "$python" -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
        2>/dev/null; then say python "$python"; break; fi
done
if has docker; then
    say docker "$(docker info --format '{{.ServerVersion}}' 2>&1 | tail -1)"
    say compose "$(docker compose version --short 2>/dev/null)"
fi
if has nvidia-smi; then say gpus "$(nvidia-smi -L 2>/dev/null | grep -c '^GPU')"; fi
"""

# The first release installs the Python environment; the download of models counts its own bytes.
_FREE_AT_FIRST, _FREE_LATER = 2_000_000_000, 200_000_000
_CLOCK_OFF = 120


@dataclass(frozen=True)
class Need:
    """Something a release needs, whether it is there, and what to do where it is not."""

    met: Callable[[Said, Facts], bool]
    problem: str
    remedy: str


def _compose(facts: Facts) -> bool:
    return facts.runtime == "compose"


def _one(said: Said, key: str) -> str:
    return said.get(key, [""])[0]


NEEDS = (
    Need(
        lambda said, _: "rsync" in said.get("has", []),
        "rsync is not installed",
        "sudo apt install rsync",
    ),
    Need(
        lambda said, _: "python" in said or "uv" in said.get("has", []),
        "there is neither Python 3.11 to 3.13 with venv, nor uv",
        "sudo apt install python3 python3-venv",
    ),
    Need(
        lambda said, facts: not _compose(facts) or "docker" in said.get("has", []),
        "Docker is not installed",
        'install Docker Engine, or set runtime = "embedded" in hosts.toml',
    ),
    Need(
        lambda said, facts: not _compose(facts) or _one(said, "docker")[:1].isdigit() or "docker" not in said,
        "the Docker engine does not answer this user",
        "start it, and add the user to the group docker",
    ),
    Need(
        lambda said, facts: not _compose(facts) or bool(_one(said, "compose")) or "docker" not in said,
        "Docker has no Compose v2",
        "sudo apt install docker-compose-plugin",
    ),
    Need(
        lambda said, facts: facts.config != "gpu" or (_one(said, "gpus").isdigit() and int(_one(said, "gpus")) > 0),
        "no GPU is seen: nvidia-smi lists none",
        'install the NVIDIA driver, or set config = "cpu" in hosts.toml',
    ),
    Need(
        lambda said, _: int(_one(said, "free") or 0) * 1024 >= (_FREE_LATER if "venv" in said else _FREE_AT_FIRST),
        "its disk is full: 200 MB must be free, and 2 GB before the first deploy",
        "inv remote.run --host HOST -- models.prune, or a larger disk",
    ),
    Need(
        lambda said, _: abs(int(_one(said, "now") or 0) - time.time()) < _CLOCK_OFF,
        "its clock is off by more than two minutes",
        "sudo timedatectl set-ntp true",
    ),
)


def require_fit(host: str, facts: Facts, said: Said) -> None:
    """Raise DeployError that names all that is missing."""
    missing = [need for need in NEEDS if not need.met(said, facts)]
    if missing:
        problems = "\n".join(f"  {need.problem}: {need.remedy}" for need in missing)
        raise DeployError(f"{host} is not ready for a deploy:\n{problems}", hint=f"inv remote.doctor --host {host}")
