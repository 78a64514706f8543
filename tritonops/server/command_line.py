"""The command line of the embedded tritonserver."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import asdict
from pathlib import Path

from tritonops.models.disk.repository import Repository
from tritonops.server.installation import Installation
from tritonops.server.plain_paths import plain_path
from tritonops.server.ports import LOOPBACK, Ports
from tritonops.triton.client.token_header import HTTP_HEADER
from tritonops.triton.startup.loading import load_threads

# tritonops uses none of these, and each lets a client read or write the memory or files of the server's machine.
_CLOSED_APIS = "shared-memory,trace,logging"
_CONTROL_APIS = "model-repository,model-config"
_FLAGS = (
    "--model-control-mode=explicit",
    "--exit-on-error=false",
    "--disable-auto-complete-config",
    *(f"--{protocol}-address={LOOPBACK}" for protocol in ("http", "grpc", "metrics")),
    "--allow-gpu-metrics=false",
)


def backends_dir(server_dir: Path) -> Path:
    """Give the folder of a server's own copy of the backends."""
    return server_dir / "backends"


def command(
    installation: Installation, models_dir: Path, server_dir: Path, *, ports: Ports, token: str | None
) -> list[str]:
    """Build the command line of tritonserver.

    Its paths are absolute: the Python backend changes its directory while it unpacks a model's environment, and would
    not find the stubs of other models by relative paths (triton-inference-server/server#7531).
    """
    return [
        str(installation.executable),
        f"--model-repository={plain_path(models_dir, server_dir)}",
        f"--backend-directory={plain_path(backends_dir(server_dir), server_dir)}",
        *_FLAGS,
        f"--model-load-thread-count={load_threads(Repository(models_dir).enabled_names())}",
        *(f"--{protocol}-port={port}" for protocol, port in asdict(ports).items()),
        memory_option(server_dir),
        *restrictions(token),
    ]


def fixed_flags() -> tuple[str, ...]:
    """Give the options that all servers of this version share, without secrets."""
    return (*_FLAGS, _CLOSED_APIS, _CONTROL_APIS)


def restrictions(token: str | None) -> list[str]:
    """Build the options that close unused APIs with a random key, and the control APIs with the token."""
    closed = _restriction(_CLOSED_APIS, "closed", secrets.token_hex(16))
    return [*closed, *(_restriction(_CONTROL_APIS, HTTP_HEADER, token) if token else ())]


def _restriction(apis: str, header: str, value: str) -> tuple[str, str]:
    return f"--grpc-restricted-protocol={apis}:{header}={value}", f"--http-restricted-api={apis}:{header}={value}"


def shared_memory(server_dir: Path) -> list[Path]:
    """List the shared memory of the server with this folder and its models' processes."""
    return list(Path("/dev/shm").glob(f"{shared_memory_prefix(server_dir)}*"))  # noqa: S108


def memory_option(server_dir: Path) -> str:
    """Build the option that identifies the server of this folder."""
    return f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix(server_dir)}"


def shared_memory_prefix(server_dir: Path) -> str:
    """Give the prefix of the shared memory of the server with this folder."""
    return f"tritonops-{hashlib.sha256(os.fsencode(server_dir)).hexdigest()[:12]}-"
