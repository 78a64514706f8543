"""Records of processes in files: the server, its ports and its models. Any other content is no record."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tritonops import documents
from tritonops.errors import TritonOpsError
from tritonops.file_lock import start_time
from tritonops.files import read_text, write_json
from tritonops.server.ports import Ports
from tritonops.server.process import Process

_MAX_PID = 1 << 22  # the kernel's own limit
_PROTOCOLS = ("http", "grpc", "metrics")


def save_server(path: Path, process: Process, ports: Ports, models_dir: Path) -> None:
    """Record a server. Raises OSError."""
    record = {**asdict(process), "ports": asdict(ports), "models_dir": str(models_dir)}
    write_json(path, record, indent=2, sync=False)


def find_server(path: Path) -> tuple[Process, Ports, Path] | None:
    """Read the record of a server and its models directory; None unless that very server is running."""
    record = _read_object(path)
    process, ports, models_dir = _process(record), _ports(record.get("ports")), record.get("models_dir")
    if process is None or ports is None or not isinstance(models_dir, str) or "\0" in models_dir:
        return None
    return (process, ports, Path(models_dir)) if process.is_alive() and _is_triton(process.pid) else None


def find_started_with(option: str) -> tuple[Process, Ports, Path] | None:
    """Find a running tritonserver by an option that identifies it, if its record is lost."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, KeyError):  # it has ended, or belongs to another user
            arguments = os.fsdecode((folder / "cmdline").read_bytes()).split("\0")
            if Path(arguments[0]).name == "tritonserver" and option in arguments:
                options = dict(argument.partition("=")[::2] for argument in arguments)
                ports = Ports(*(int(options[f"--{name}-port"]) for name in _PROTOCOLS))
                pid = int(folder.name)
                return Process(pid, start_time(pid) or 0), ports, Path(options["--model-repository"]).resolve()
    return None


def find_process(path: Path) -> Process | None:
    """Read the record of a process; None unless it is running."""
    process = _process(_read_object(path))
    return process if process and process.is_alive() else None


def read_json(path: Path) -> Any:
    """Read a small JSON file of this project; None for anything else, such as a pipe or a folder."""
    try:
        return documents.parse_json(read_text(path, documents.MAX_RECORD), path)
    except TritonOpsError:
        return None


def _read_object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    return value if isinstance(value, dict) else {}


def _process(record: dict[str, Any]) -> Process | None:
    """Read a process id that is safe to signal: -1 would end every process of this user, 0 this group."""
    pid, started = record.get("pid"), record.get("started")
    if type(pid) is not int or type(started) is not int:
        return None
    return Process(pid, started) if 1 < pid <= _MAX_PID and started > 0 else None


def _ports(value: object) -> Ports | None:
    if not isinstance(value, dict) or not all(type(value.get(name)) is int for name in _PROTOCOLS):
        return None
    numbers = [value[name] for name in _PROTOCOLS]
    return Ports(*numbers) if all(0 < number < 65536 for number in numbers) else None


def _is_triton(pid: int) -> bool:
    """Whether its command line is that of Triton; an ending process has none."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return not command or b"tritonserver" in command
