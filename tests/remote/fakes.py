"""A host without a server: it notes the scripts that it is sent, and gives prepared answers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from tritonops.remote.layout.records import ActivationRecord, ReleaseRecord
from tritonops.remote.ssh.host import Host, Output


class FakeHost(Host):
    """Answers each script with the next output; one that is an exception is raised."""

    def __init__(self, *outputs: Output | str | Exception) -> None:
        self.outputs = list(outputs)
        self.scripts: list[str] = []
        self.folder = "tritonops"
        self.closed = 0

    @property
    def name(self) -> str:
        return "gpu-01"

    def run(self, script: str, *, on_line: Any = None, **options: Any) -> Output:
        self.scripts.append(script)
        output = self.outputs.pop(0)
        if isinstance(output, Exception):
            raise output
        found = output if isinstance(output, Output) else Output(0, output, "")
        for line in found.stdout.splitlines() if on_line else ():
            on_line(line)
        return found

    def close(self) -> None:
        self.closed += 1


RECORD = ReleaseRecord("r000002-abc", "abc", "A subject", "print", "me", "2026", config="cpu", runtime="embedded")
EMPTY = hashlib.sha256(b"").hexdigest()[:16]
"""The digest of an env file, and of a models directory, without anything in it."""
DONE = ActivationRecord("done", "2026", served=(("alpha", 1),), env=EMPTY, seal=EMPTY, before="r000001-abc")


def inspection(
    *more: str,
    release: ReleaseRecord | None = RECORD,
    activation: ActivationRecord | None = DONE,
    files: tuple[str, ...] = (),
    env: str = "",
) -> str:
    """Answer as inspect_host.sh does."""
    lines = ["home\t/home/me", "root\t/home/me/tritonops", "free\t1000"]
    if release:
        lines += [f"current\treleases/{release.id}", f"release\t{json.dumps(asdict(release))}"]
    front = "".join(f"{line}\n" for line in [*lines, *more])
    return "\0".join([front, *files, "", activation.as_json() if activation else "", f"env:\n{env}"])
