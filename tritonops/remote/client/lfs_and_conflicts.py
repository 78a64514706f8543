"""Files of a checkout that nobody means to deploy: pointers of Git LFS, and conflicts that are not resolved."""

from __future__ import annotations

import re

from tritonops.errors import InputError

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_CONFLICT = re.compile(rb"^<{7} .*?^={7}\r?$.*?^>{7} ", re.MULTILINE | re.DOTALL)


def refuse_unfinished(path: str, content: bytes) -> None:
    """Raise InputError for the content of such a file."""
    if content.startswith(_LFS_POINTER):
        raise InputError(f"{path} is a pointer of Git LFS, not the file itself", hint="git lfs pull")
    if b"<<<<<<< " in content and _CONFLICT.search(content):
        raise InputError(f"{path} has conflict markers in it", hint="Resolve the conflict, and commit.")
