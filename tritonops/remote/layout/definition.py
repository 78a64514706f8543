"""The definition of a running Triton in named parts: one that differs makes the next deploy restart it.

Of this project's Python files only those count that the embedded Triton copies at its start.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from tritonops.compose.commands import CPU_FILE, GPU_FILE
from tritonops.compose.definition import statements
from tritonops.remote.layout.records import ReleaseRecord
from tritonops.triton_image import DEFAULT_IMAGE

_PORTS = {"TRITON_EXPOSE_HTTP": "8000", "TRITON_EXPOSE_GRPC": "8001", "TRITON_EXPOSE_METRICS": "8002"}
_IMAGE = re.compile(r"^\s*image:\s*\$\{TRITON_IMAGE:-([^}]+)\}", re.MULTILINE)


def runtime_definition(project: Path, record: ReleaseRecord, env: Mapping[str, str]) -> dict[str, str]:
    """List the parts for a release with its files in `project`, on a host with these settings."""
    parts = _embedded(project, record, env) if record.runtime == "embedded" else _compose(project, record, env)
    token = {"TRITON_TOKEN": _digest(env["TRITON_TOKEN"])} if env.get("TRITON_TOKEN") else {}
    return {"runtime": record.runtime, **parts, **token}


def _embedded(project: Path, record: ReleaseRecord, env: Mapping[str, str]) -> dict[str, str]:
    from tritonops.server.command_line import fixed_flags

    backends = project / "tritonops" / "server" / "backends"
    files = sorted(backends.rglob("*.py"))
    return {
        "requirements": record.venv,
        "backend files": _digest(*(f"{path.relative_to(backends)}\0{path.read_text('utf-8')}" for path in files)),
        "flags": _digest(*fixed_flags()),
        **{name: env.get(name) or usual for name, usual in _PORTS.items()},
    }


def _compose(project: Path, record: ReleaseRecord, env: Mapping[str, str]) -> dict[str, str]:
    """Every variable counts: Compose's own digest decides in the end which ones matter."""
    others = {
        name: _digest(value)
        for name, value in env.items()
        if value and name not in ("TRITON_TOKEN", "TRITON_IMAGE") and not name.startswith("HF_")
    }
    text = "\n".join(statements(_compose_files(project, env)))
    usual = _IMAGE.search(text)
    image = env.get("TRITON_IMAGE") or (usual[1] if usual else DEFAULT_IMAGE)
    return {"config": record.config, "Compose files": _digest(text), "image": image, **others}


def _compose_files(project: Path, env: Mapping[str, str]) -> list[Path]:
    """List the Compose files of a release, those of COMPOSE_FILE too."""
    named = (env.get("COMPOSE_FILE") or "").split(env.get("COMPOSE_PATH_SEPARATOR") or ":")
    return [project / name for name in dict.fromkeys((CPU_FILE, GPU_FILE, *filter(None, named)))]


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode(errors="surrogateescape")).hexdigest()[:16]
