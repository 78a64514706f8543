"""Compare what a server serves with the disk."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from tritonops.errors import ConfigError
from tritonops.models.configs.pbtxt import ModelConfig, parse_config
from tritonops.models.disk.repository import CONFIG_NAME
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient
from tritonops.triton.client.model_config import as_diff, changed_fields, differences
from tritonops.triton.client.served_configs import ServedConfigs
from tritonops.triton.disk.served_folder import (
    LoadRecord,
    ModelOnDisk,
    ServedFolder,
    pack_config,
    unpack_config,
)
from tritonops.triton.disk.touch import newest_time


def ready(rows: Iterable[ModelStatus]) -> set[int]:
    """Give the READY versions."""
    return {row.version for row in rows if row.state == "READY" and row.version is not None}


def version_mismatch(rows: Collection[ModelStatus], model: ModelOnDisk) -> str | None:
    """Name the versions that should be served and are not, or the other way round; None if there are none."""
    if missing := sorted({*model.served} - ready(rows)):
        reasons = [row.reason for row in rows if row.version in missing and row.reason not in (None, "unloaded")]
        return f"{versions(missing)} not served" + (f": {'; '.join(map(str, reasons))}" if reasons else "")
    if extra := sorted(ready(rows) - {*model.served}):
        return f"{versions(extra)} served, though version_policy leaves {'it' if len(extra) == 1 else 'them'} out"
    return None


def config_diff(client: ServedConfigs, model: ModelOnDisk) -> str | None:
    """Diff the served config with config.pbtxt; None if they agree."""
    if model.config is None:
        return None
    found = differences(model.config, client.config(model.name))
    return as_diff(found, disk=str(model.folder / CONFIG_NAME)) if found else None


def stale_reason(
    client: TritonClient, rows: Collection[ModelStatus], model: ModelOnDisk, record: LoadRecord
) -> str | None:
    """Say why the model has to be loaded again; None if the server serves what is on disk.

    Triton does not tell which files it loaded, so they are compared with the record of the last load.
    """
    if problem := version_mismatch(rows, model):
        return problem
    if changed := changed_versions(model, record):
        return f"files changed since the load of version {', '.join(map(str, changed))}"
    return changed_config(client, model, record)


def changed_versions(model: ModelOnDisk, record: LoadRecord) -> list[int]:
    """List the versions whose files changed since they were loaded."""
    return [version for version in model.served if not model.same_files(record.files, version)]


def changed_config(client: ServedConfigs, model: ModelOnDisk, record: LoadRecord | None) -> str | None:
    """Diff config.pbtxt with what is served; None if they agree."""
    if record is None:
        return config_diff(client, model)
    if model.text != record.config and (diff := _meaning_changed(record.config or "", model)):
        return diff
    return override_diff(client, model, record)


def override_diff(client: ServedConfigs, model: ModelOnDisk, record: LoadRecord) -> str | None:
    """Diff the served config with the recorded one; None if no other client's load overrode it.

    Such an override is on no disk, and outlives a plain load.
    """
    served = client.config(model.name)
    if pack_config(served) == record.served_config:
        return None
    found = changed_fields(unpack_config(record.served_config), served)
    return config_diff(client, model) or as_diff(found, disk="as it was loaded")


def versions(numbers: Collection[int]) -> str:
    """Format "version 1 is" or "versions 1, 2 are"."""
    verb = ("version", "is") if len(numbers) == 1 else ("versions", "are")
    return f"{verb[0]} {', '.join(map(str, numbers))} {verb[1]}"


def _meaning_changed(recorded: str, model: ModelOnDisk) -> str | None:
    """Diff two configs, unless they differ in comments and layout only."""
    if model.config_error:
        return str(model.config_error)
    if model.text is None or _parsed(recorded) == model.config:
        return None
    lines = recorded.splitlines(), model.text.splitlines()
    return "\n".join(difflib.unified_diff(*lines, "as it was loaded", str(model.folder / CONFIG_NAME), lineterm=""))


def _parsed(text: str) -> ModelConfig | None:
    try:
        return parse_config(text)
    except ConfigError:
        return None


def record_if_served(client: TritonClient, disk: ServedFolder, model: ModelOnDisk) -> None:
    """Record a model that is served as it was on disk before its first load."""
    rows = [row for row in client.index() if row.name == model.name]
    if version_mismatch(rows, model) is None and config_diff(client, model) is None:
        save_record(client, disk, model)


def save_record(client: TritonClient, disk: ServedFolder, model: ModelOnDisk) -> None:
    """Record the files and the served config of a model that was verified."""
    served = client.config(model.name)
    disk.save(model.name, LoadRecord(model.files, model.text, pack_config(served), newest_time(model)))
