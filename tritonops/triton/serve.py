"""Which versions of a model are served: chosen in its config.pbtxt on disk, so that a restart serves them too."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace

from tritonops.errors import InputError, TritonTimeoutError
from tritonops.models.configs.declared import served_policy
from tritonops.models.configs.version_policy import (
    AS_IN_CATALOG,
    SET_WITH_SERVE,
    VersionPolicy,
    has_policy,
    policy_note,
    set_version_policy,
)
from tritonops.models.disk.repository import Repository
from tritonops.triton.client.client import TritonClient
from tritonops.triton.client.waiting import Deadline, wait_until_settled
from tritonops.triton.comparison import ready
from tritonops.triton.list import list_models, require_known
from tritonops.triton.load import LOAD_TIMEOUT, load_with_config, refuse_disabled
from tritonops.triton.load_result import LoadResult
from tritonops.triton.served_folder import ModelOnDisk, ServedFolder


def serve(
    client: TritonClient, name: str, policy: VersionPolicy, *, disk: ServedFolder, timeout: float = LOAD_TIMEOUT
) -> LoadResult:
    """Serve the versions that `policy` picks: write it into config.pbtxt, load, and wait until the others are gone.

    Versions that stay go on answering meanwhile. Where the load fails, or is interrupted, the file is put back.
    Raises InputError for versions that are not on disk, and what `load_model` raises.
    """
    return _serve(client, _editable(client, name, disk), policy, disk=disk, timeout=timeout)


def _serve(
    client: TritonClient, model: ModelOnDisk, policy: VersionPolicy, *, disk: ServedFolder, timeout: float
) -> LoadResult:
    _require_on_disk(model.name, policy, Repository(disk.models_dir).versions(model.name))
    is_same = VersionPolicy.of(model.config) == policy
    text = (model.text or "") if is_same else set_version_policy(model.text or "", policy)
    return _load_and_drain(client, model, text, disk, timeout)


def load_version(
    client: TritonClient, name: str, version: int, *, disk: ServedFolder, timeout: float = LOAD_TIMEOUT
) -> LoadResult:
    """Serve one version beside those that are served now."""
    model = _editable(client, name, disk)
    return _serve_exactly(client, model, _meant(client, model) | {version}, disk=disk, timeout=timeout)


def unload_version(
    client: TritonClient, name: str, version: int, *, disk: ServedFolder, timeout: float = LOAD_TIMEOUT
) -> LoadResult:
    """Take one version out of service; the others go on answering. Refused for the last one that is served."""
    served = _served(client, name)
    if version not in served:
        rows = tuple(row for row in list_models(client) if row.name == name)
        return LoadResult(name, "not loaded", rows)
    model = _editable(client, name, disk)
    remaining = _meant(client, model) - {version}
    if served == {version} or not remaining:
        raise InputError(
            f"version {version} is the last of {name} that is served", hint="To unload the whole model, add --all."
        )
    outcome = _serve_exactly(client, model, remaining, disk=disk, timeout=timeout)
    return replace(outcome, verdict="unloaded")


def _meant(client: TritonClient, model: ModelOnDisk) -> set[int]:
    """The versions that were chosen with `serve`, which another command may be loading still; else those served.

    `model` was read before: a choice made since is found when the config is written.
    """
    chosen = served_policy(model.text or "")
    return {*model.served} if chosen else _served(client, model.name)


def _serve_exactly(
    client: TritonClient, model: ModelOnDisk, versions: Collection[int], *, disk: ServedFolder, timeout: float
) -> LoadResult:
    """Keep a policy that picks just these versions already, such as "the newest two"."""
    if set(model.served) == set(versions):
        return _load_and_drain(client, model, model.text or "", disk, timeout)
    policy = VersionPolicy("specific", versions=tuple(sorted(versions)))
    return _serve(client, model, policy, disk=disk, timeout=timeout)


def _load_and_drain(
    client: TritonClient, model: ModelOnDisk, text: str, disk: ServedFolder, timeout: float
) -> LoadResult:
    """Load with this config, and wait until versions that leave service have answered; that wait may end early."""
    deadline = Deadline.after(timeout)
    is_choice = policy_note(model.text or "") in (SET_WITH_SERVE, AS_IN_CATALOG)
    keeps_text = is_choice or not has_policy(model.text or "")  # else somebody's own policy is replaced
    outcome = load_with_config(
        client, model.name, text, disk=disk, timeout=timeout, expected=model.text, keeps_text=keeps_text
    )
    with suppress(TritonTimeoutError):
        rows = wait_until_settled(client, model.name, deadline, gone=("LOADING", "UNLOADING"))
        return replace(outcome, versions=rows)
    return outcome


def _editable(client: TritonClient, name: str, disk: ServedFolder) -> ModelOnDisk:
    require_known(client, name)
    model = disk.read(name)
    if model and model.config_error:
        raise model.config_error
    refuse_disabled(disk, name)
    if model is None or model.config is None:
        raise InputError(
            f"{name} has no config.pbtxt in {disk.models_dir}, where its version policy would be written",
            hint=f"Try: inv models.config --include {name}",
        )
    return model


def _require_on_disk(name: str, policy: VersionPolicy, versions: Collection[int]) -> None:
    there = ", ".join(map(str, versions)) or "none"
    if missing := [str(version) for version in policy.versions if version not in versions]:
        raise InputError(f"{name} has no version {', '.join(missing)} on disk", hint=f"There are: {there}.")
    if not versions:
        raise InputError(f"{name} has no version on disk", hint=f"Try: inv models.download --include {name}")


def _served(client: TritonClient, name: str) -> set[int]:
    return ready(row for row in list_models(client) if row.name == name)
