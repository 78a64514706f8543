"""Files that people edit too: written whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from tritonops.errors import TritonOpsError


def replace_text(path: Path, text: str) -> None:
    """Write a file by one rename, and its folder where there is none. Raises TritonOpsError; then it is as it was."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as exc:
        raise TritonOpsError(f"cannot write {path}: {exc.strerror}") from exc
