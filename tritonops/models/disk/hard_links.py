"""Hard links, and copies where a filesystem refuses them."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Make `target` a hard link to `source`, or a copy with its times and mode where links are refused.

    Raises FileExistsError for an existing target. A copy that fails leaves nothing.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # Filesystems refuse links with a dozen error numbers; where linking failed for another reason, so will copying.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        _copy(source, target)


def _copy(source: str | Path, target: str | Path) -> None:
    import shutil

    try:
        shutil.copy2(source, target, follow_symlinks=False)
    except BaseException:
        Path(target).unlink(missing_ok=True)
        raise
