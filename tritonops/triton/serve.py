"""Choose the versions of a model that are served, in its config.pbtxt, so that a restart serves them too."""

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
from tritonops.triton.config_change import load_with_config
from tritonops.triton.disk.comparison import ready
from tritonops.triton.disk.served_folder import ModelOnDisk, ServedFolder
from tritonops.triton.list import Rows, list_models, require_known
from tritonops.triton.load import LOAD_TIMEOUT, LoadResult, refuse_disabled


def serve(
    client: TritonClient, name: str, policy: VersionPolicy, *, disk: ServedFolder, timeout: float = LOAD_TIMEOUT
) -> LoadResult:
    """Write a version policy into config.pbtxt, load, and wait until the other versions are gone.

    Versions that stay keep answering. A load that fails or is interrupted rolls the file back. Raises InputError for
    versions that are not on disk, and what `load_model` raises.
    """
    require_known(client, name)
    return _serve(client, _editable(name, disk), policy, disk=disk, timeout=timeout)


def _serve(
    client: TritonClient, model: ModelOnDisk, policy: VersionPolicy, *, disk: ServedFolder, timeout: float
) -> LoadResult:
    _require_on_disk(model.name, policy, Repository(disk.models_dir).versions(model.name))
    is_same = model.config is not None and VersionPolicy.of(model.config) == policy
    text = (model.text or "") if is_same else set_version_policy(model.text or "", policy)
    return _load_and_drain(client, model, text, disk, timeout)


def load_version(
    client: TritonClient, name: str, version: int, *, disk: ServedFolder, timeout: float = LOAD_TIMEOUT
) -> LoadResult:
    """Serve one version in addition to those that are served now."""
    rows = require_known(client, name)
    model = _editable(name, disk)
    return _serve_exactly(client, model, _chosen(model, rows) | {version}, disk=disk, timeout=timeout)


def unload_version(
    client: TritonClient, name: str, version: int, *, disk: ServedFolder, timeout: float = LOAD_TIMEOUT
) -> LoadResult:
    """Unload one version; the others keep answering. Raises InputError for the last one that is served."""
    rows = tuple(row for row in list_models(client) if row.name == name)
    if version not in ready(rows):
        return LoadResult(name, "not loaded", rows)
    model = _editable(name, disk)
    remaining = _chosen(model, rows) - {version}
    if ready(rows) == {version} or not remaining:
        raise InputError(
            f"version {version} is the last of {name} that is served", hint="To unload the whole model, add --all."
        )
    result = _serve_exactly(client, model, remaining, disk=disk, timeout=timeout)
    return replace(result, verdict="unloaded")


def _chosen(model: ModelOnDisk, rows: Rows) -> set[int]:
    """Give the versions that were chosen with `serve`, some perhaps still being loaded, or else those served.

    A choice made since `model` was read is found when the config is written.
    """
    return {*model.served} if served_policy(model.text or "") else ready(rows)


def _serve_exactly(
    client: TritonClient, model: ModelOnDisk, versions: Collection[int], *, disk: ServedFolder, timeout: float
) -> LoadResult:
    """Serve these versions; a policy that picks them already, such as "the newest two", is kept."""
    if set(model.served) == set(versions):
        return _load_and_drain(client, model, model.text or "", disk, timeout)
    policy = VersionPolicy("specific", versions=tuple(sorted(versions)))
    return _serve(client, model, policy, disk=disk, timeout=timeout)


def _load_and_drain(
    client: TritonClient, model: ModelOnDisk, text: str, disk: ServedFolder, timeout: float
) -> LoadResult:
    """Load with this config, and wait for the in-flight requests of versions that go, but never fail for them."""
    deadline = Deadline.after(timeout)
    is_choice = policy_note(model.text or "") in (SET_WITH_SERVE, AS_IN_CATALOG)
    keeps_text = is_choice or not has_policy(model.text or "")  # otherwise a person wrote the policy that is replaced
    result = load_with_config(
        client, model.name, text, disk=disk, timeout=timeout, expected=model.text, keeps_text=keeps_text
    )
    with suppress(TritonTimeoutError):
        rows = wait_until_settled(client, model.name, deadline, states=("LOADING", "UNLOADING"))
        return replace(result, versions=rows)
    return result


def _editable(name: str, disk: ServedFolder) -> ModelOnDisk:
    """Read a model whose config can be edited. Raises InputError, ConfigError."""
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
    if missing := [str(version) for version in policy.versions if version not in versions]:
        raise InputError(
            f"{name} has no version {', '.join(missing)} on disk",
            hint=f"On disk: {', '.join(map(str, versions)) or 'none'}.",
        )
    if not versions:
        raise InputError(f"{name} has no version on disk", hint=f"Try: inv models.download --include {name}")
