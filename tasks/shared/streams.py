"""stdout and stderr of a run: full disks, readers that have gone, and encodings."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import BinaryIO, TextIO


class _Stderr(io.TextIOWrapper):
    """Progress and messages are a courtesy: where they cannot be written, the work goes on without them."""

    def write(self, text: str) -> int:
        """Write; after a failure, discard everything."""
        try:
            return super().write(text)
        except OSError:
            discard(self)
            return len(text)

    def flush(self) -> None:
        """Flush; after a failure, discard everything."""
        try:
            super().flush()
        except OSError:
            discard(self)


WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EBADF}


def discard(stream: io.TextIOBase | TextIO) -> None:
    """Send what is left, and what follows, nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def prepare_streams() -> None:
    """Write what the terminal's encoding lacks as escapes, and let stderr fail without a word."""
    assert isinstance(sys.stdout, io.TextIOWrapper)
    assert isinstance(sys.stderr, io.TextIOWrapper)
    sys.stdout.reconfigure(errors="backslashreplace")  # a file name may be no text in the terminal's encoding
    encoding = sys.stderr.encoding
    sys.stderr = _Stderr(sys.stderr.detach(), encoding, "backslashreplace", line_buffering=True)


def piped_stdin() -> BinaryIO | None:
    """Give stdin without a buffer; None where a person would have to type it, or it is closed."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return None
    return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
