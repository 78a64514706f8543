"""What a value of models.toml may look like.

Each rule returns the value to use, or raises ValueError with words that go behind the value: "'a/b' is a path".
"""

from __future__ import annotations

import posixpath
import re
from urllib.parse import urlsplit

from tritonops.files import expand_home

MAX_FILE_NAME = 255  # bytes, on every filesystem that Triton is run on
MAX_VERSION = 2**63 - 1  # Triton stores versions as int64


def file_name(value: str) -> str:
    """Check the name of a model, or of a file below its version: one path component, in every filesystem's terms."""
    if not value:
        raise ValueError("is empty")
    if "/" in value or value in (".", ".."):
        raise ValueError("is a path; expected a plain name")
    if value.startswith("."):
        raise ValueError("begins with a dot, as hidden files do")
    if not value.isprintable():
        raise ValueError("contains a control character")
    if len(value.encode()) > MAX_FILE_NAME:
        raise ValueError(f"is longer than {MAX_FILE_NAME} bytes, too long for a file name")
    return value


def model_name(value: str) -> str:
    """Check a model's name: a file name that `--include a,b` can tell apart."""
    file_name(value)
    if "," in value or value != value.strip():
        raise ValueError("contains a comma, or a space at its end; `--include` could not name it")
    if is_junk(value):
        raise ValueError("is the name of a folder that is no model")
    return value


def is_junk(name: str) -> bool:
    """Whether a folder of the models directory is no model: a hidden one, or one that filesystems and tools leave."""
    return name.startswith(".") or name in _JUNK


_JUNK = {
    *("lost+found", "__pycache__", "__MACOSX", "System Volume Information", "$RECYCLE.BIN", "RECYCLER"),
    *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot"),
}


def relative_path(value: str) -> str:
    """Check a path within a source, and write it without "." and double slashes; "" is the root itself."""
    if not value:
        raise ValueError('is empty; write "." for the root')
    if value.startswith("/"):
        raise ValueError("is absolute; expected a path within the source")
    if ".." in value.split("/"):
        raise ValueError('leads out of the source with ".."')
    if not value.isprintable():
        raise ValueError("contains a control character")
    normal = posixpath.normpath(value)
    return "" if normal == "." else normal


def file_path(value: str) -> str:
    """Check the path of a file within a source."""
    path = relative_path(value)
    if not path:
        raise ValueError("is the root of the source, not a file")
    return path


def local_path(value: str) -> str:
    """Check a path on this machine."""
    if not value or not value.isprintable():
        raise ValueError("is empty, or contains a control character")
    expand_home(value)
    return value


def version(value: int) -> int:
    """Check a Triton version."""
    if not 1 <= value <= MAX_VERSION:
        raise ValueError("is not a version; expected an integer from 1")
    return value


def repo_id(value: str) -> str:
    """Check a Hub repository: `owner/name`, or `name` alone for the oldest ones."""
    parts = value.split("/")
    if len(parts) > 2 or not all(re.fullmatch(r"\w(?:[\w.-]{0,94}\w)?", part, re.ASCII) for part in parts):
        raise ValueError("is not a repository of the Hub; expected owner/name")
    if "--" in value or ".." in value or value.endswith(".git"):
        raise ValueError('is not a repository of the Hub: it may not contain "--" or "..", nor end with ".git"')
    return value


def revision(value: str) -> str:
    """Check a git revision: a branch, a tag or a commit."""
    if not re.fullmatch(r"[^\s~^:?*\[\\]+", value) or not value.isprintable():
        raise ValueError("is not a branch, tag or commit")
    if ".." in value or value.startswith(("/", "-")) or value.endswith("/"):
        raise ValueError("is not a branch, tag or commit")
    return value


def url(value: str) -> str:
    """Check a URL to download from. One that carries a password is refused: it would be printed and logged."""
    try:
        parts = urlsplit(value)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError as exc:
        raise ValueError("is not a URL") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_valid:
        raise ValueError("is not a URL; expected https://host/path")
    if "@" in parts.netloc:
        raise ValueError("carries a user name or a password, which has no place in models.toml")
    if not value.isprintable() or " " in value:
        raise ValueError("contains a space or a control character; write it as %20")
    return value


def sha256(value: str) -> str:
    """Check a SHA-256, and write it in lower case."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError("is not a SHA-256; expected 64 hexadecimal digits")
    return value.lower()
