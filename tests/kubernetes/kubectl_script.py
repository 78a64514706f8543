"""A shell script called kubectl, for what the real one cannot be made to do; it notes the words that it is given."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class KubectlScript:
    """The script, in a folder on the PATH."""

    folder: Path

    @property
    def calls(self) -> list[str]:
        """The words of each call, without the context and the namespace."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


def write_script(folder: Path, body: str, patch: pytest.MonkeyPatch) -> KubectlScript:
    """Write a script and put it on the PATH: `$1` is the name of the command, `$folder` the folder of the script."""
    folder.mkdir(exist_ok=True)
    path = folder / "kubectl"
    path.write_text(f"#!/bin/sh\nfolder='{folder}'\nshift 2\nprintf '%s\\n' \"$*\" >>\"$folder/calls\"\n{body}\n")
    path.chmod(0o755)
    patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return KubectlScript(folder)
