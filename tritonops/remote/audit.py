"""The audit log of a host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tritonops.documents import abbreviate, parse_json
from tritonops.errors import InputError
from tritonops.remote.layout.records import result_word
from tritonops.remote.layout.scripts import script
from tritonops.remote.ssh.host import Host


def audit(host: Host) -> list[Mapping[str, Any]]:
    """List what was done on a host and by whom, oldest first."""
    lines = host.run(script("audit_log", root=host.folder)).stdout.splitlines()
    return [parse_audit_entry(line) for line in lines if line]


def parse_audit_entry(line: str) -> Mapping[str, Any]:
    """Read a line of audit.log; an invalid line becomes an entry of its own."""
    try:
        entry = parse_json(line, "the entry")
    except InputError:
        entry = None
    if not isinstance(entry, dict):
        return {"what": "unreadable entry", "message": abbreviate(line)}
    result = entry.get("result")
    return {**entry, "result": result_word(result)} if isinstance(result, str) else entry
