"""Touch a model's versions, since a load is a no-op for Triton unless the newest time below the model grew."""

from __future__ import annotations

import os
import time

from tritonops.errors import RepositoryError
from tritonops.triton.disk.served_folder import LoadRecord, ModelOnDisk, walk_model


def newest_time(model: ModelOnDisk) -> int:
    """Find the newest time below the model in nanoseconds, as Triton does."""
    return max((max(stat.st_mtime_ns, stat.st_ctime_ns) for _, stat in walk_model(model.folder)), default=0)


def touch(model: ModelOnDisk, record: LoadRecord | None) -> None:
    """Make every version newer than any file that Triton has seen below the model, so that its load is no no-op.

    Recorded times may lie in the future, from a wrong clock or an archive. Raises RepositoryError for version folders
    of another user.
    """
    when = max(time.time_ns(), newest_time(model) + 1, (record.newest if record else 0) + 1)
    try:
        for version in model.served:
            os.utime(model.folder / str(version), ns=(when, when))
    except OSError as exc:
        raise RepositoryError(
            f"cannot touch {model.folder}, without which Triton ignores an older file: {exc}",
            hint=f"Run it as the owner of that folder, or `inv triton.unload {model.name}` before the load.",
        ) from exc
