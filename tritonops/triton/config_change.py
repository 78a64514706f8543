"""Load a model with another config.pbtxt, which is rolled back where that load fails."""

from __future__ import annotations

from contextlib import suppress
from types import EllipsisType

from tritonops.errors import LoadError, NotAsOnDiskError, RepositoryError, TritonError
from tritonops.models.disk.repository import CONFIG_NAME, Repository
from tritonops.triton.client.client import TritonClient
from tritonops.triton.disk.served_folder import ModelOnDisk, ServedFolder
from tritonops.triton.load import LOAD_TIMEOUT, LoadResult, load_model


def load_with_config(
    client: TritonClient,
    name: str,
    text: str,
    *,
    disk: ServedFolder,
    timeout: float = LOAD_TIMEOUT,
    expected: str | EllipsisType | None = ...,
    keeps_text: bool = False,
) -> LoadResult:
    """Write config.pbtxt and load. A load that fails or is interrupted rolls the config back.

    `expected` is the config that `text` was made from, None for none: raises RepositoryError where the file has changed
    since. A config that somebody else has written meanwhile is never overwritten. `keeps_text` says that nothing that a
    person wrote is lost.
    """
    repository, before = Repository(disk.models_dir), disk.read(name)
    if before and before.text == text:
        return load_model(client, name, disk=disk, timeout=timeout)
    was_ours = repository.is_written(name, CONFIG_NAME)
    before_text = before.text if before and before.unreadable is None else ...
    expected = before_text if expected is ... else expected
    repository.write_config(name, text, expected=expected, keeps_text=keeps_text)
    try:
        return load_model(client, name, disk=disk, timeout=timeout)
    except BaseException as exc:
        is_rolled_back = bool(before) and _roll_back_config(repository, before, written=text, was_ours=was_ours)
        if is_rolled_back and isinstance(exc, LoadError | NotAsOnDiskError):
            # The failed load may have taken versions out of service, which the earlier config serves.
            with suppress(TritonError):
                load_model(client, name, disk=disk, timeout=timeout)
        raise


def _roll_back_config(repository: Repository, before: ModelOnDisk | None, *, written: str, was_ours: bool) -> bool:
    """Restore the earlier config, unless somebody else has written another one since."""
    if before is None or before.text is None:
        return False
    try:
        repository.write_config(before.name, before.text, expected=written, is_ours=was_ours)
    except RepositoryError:
        return False
    return True
