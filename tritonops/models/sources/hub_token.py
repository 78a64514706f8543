"""The token that `hf auth login` stored."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tritonops.errors import SourceError, UnreadableFileError
from tritonops.files import read_text

MAX_TOKEN_FILE = 1 << 16


@cache
def stored_token(path: Path) -> str | None:
    """Read the token that `hf auth login` stored; None where there is none. Raises SourceError."""
    try:
        token = read_text(path, MAX_TOKEN_FILE).replace("\r", "").replace("\n", "").strip()
    except UnreadableFileError as exc:
        if exc.missing:
            return None
        raise SourceError(f"cannot read the token of `hf auth login`, {exc}") from exc
    if token and not re.fullmatch("[!-~]+", token):
        raise SourceError(f"{path} has no token: expected printable ASCII without spaces", hint="hf auth login")
    return token or None
