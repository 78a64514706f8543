"""Record activations in the audit log and in outcome.json, and seal what Triton reads."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tritonops.errors import TritonOpsError
from tritonops.files import write_text
from tritonops.remote.host.loads import seal
from tritonops.remote.layout.paths import Layout, Release
from tritonops.remote.layout.records import ActivationRecord
from tritonops.remote.layout.scripts import script

_PLAIN = re.compile(r"[\w./-]+", re.ASCII)


def record_activation(layout: Layout, release: Release, activation: ActivationRecord, *, by: str, kind: str) -> None:
    """Save the activation; the client gets it even if that fails."""
    with suppress(OSError):
        _write_records(layout, release, activation, by=by, kind=kind)


def _write_records(layout: Layout, release: Release, activation: ActivationRecord, *, by: str, kind: str) -> None:
    if activation.result == "done" or release.activation is None:
        release.save_activation(activation)
    append_audit(layout, release.id, _digest_of(release), activation, by=by, kind=kind)


def _digest_of(release: Release) -> str:
    try:
        return release.record.digest
    except TritonOpsError:
        return ""


def append_audit(layout: Layout, name: str, digest: str, activation: ActivationRecord, *, by: str, kind: str) -> None:
    """Append an activation to the audit log; a full disk is not an error."""
    with suppress(OSError):
        _append(
            layout,
            at=activation.at,
            by=by,
            what=kind,
            release=name,
            digest=digest,
            result=activation.result,
            changed=activation.changed,
            seconds=activation.seconds,
            restarted=activation.restarted,
            gap=activation.gap,
            message=activation.message.splitlines()[0] if activation.message else "",
        )


def _append(layout: Layout, **entry: Any) -> None:
    with layout.audit_log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def record_bytecode(release: Release) -> None:
    """Record what Python has compiled of the sources that have just been compared with the manifest.

    The next release begins with it, which nobody who changes sources or bytecode later has a part in.
    """
    with suppress(OSError):
        files = sorted(path for room in ("tasks", "tritonops") for path in (release.project / room).rglob("*.pyc"))
        digests = {str(path.relative_to(release.project)): _sha256(path) for path in files}
        lines = [f"{digest}  {name}\n" for name, digest in digests.items() if _PLAIN.fullmatch(name)]
        write_text(release.bytecode, "".join(lines), sync=False)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_sealed(layout: Layout, release: Release) -> bool:
    """Whether Triton's repository is unchanged since the activation of this release."""
    activation = release.activation
    disk, _, seal_now = read_digests(layout)
    return activation is not None and (activation.seal == seal_now if activation.seal else activation.disk == disk)


def record_seal(layout: Layout, release: Release) -> ActivationRecord | None:
    """Record inodes and change times once no more links are made; None where that fails."""
    activation = release.activation
    if activation is None:
        return None
    disk, _, seal_now = read_digests(layout)
    loads = {name: {**load, "seal": seal(layout.models_dir / name)} for name, load in activation.loads.items()}
    sealed = replace(activation, disk=disk, seal=seal_now, loads=loads)
    try:
        release.save_activation(sealed)
    except OSError:
        return None
    return sealed


def read_digests(layout: Layout) -> list[str]:
    """Run the digests that the client compares: disk, env and seal."""
    command = ["sh", "-c", script("digests") + "digests"]
    return subprocess.run(command, cwd=layout.root, capture_output=True, text=True, check=True).stdout.split()
