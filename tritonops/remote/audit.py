"""The audit log of a host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tritonops.documents import abbreviate, parse_json
from tritonops.errors import InputError
from tritonops.remote.client.host_state import with_root
from tritonops.remote.layout.records import result_word
from tritonops.remote.ssh.host import Host


def audit(host: Host, directory: str) -> list[Mapping[str, Any]]:
    """List what was done on a host and by whom, oldest first; an entry that is none is listed as that."""
    script = 'cd -- "$HOME"; cd -- "$root" 2>/dev/null || exit 0; cat audit.log 2>/dev/null || true'
    return [parse_audit_entry(line) for line in host.run(with_root(directory, script)).stdout.splitlines() if line]


def parse_audit_entry(line: str) -> Mapping[str, Any]:
    """Read a line of audit.log; what is no entry becomes one that says so."""
    try:
        entry = parse_json(line, "the entry")
    except InputError:
        entry = None
    if not isinstance(entry, dict):
        return {"what": "unreadable entry", "message": abbreviate(line)}
    result = entry.get("result")
    return {**entry, "result": result_word(result)} if isinstance(result, str) else entry
