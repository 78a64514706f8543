"""Bring one host to what this clone says.

inspect_host       one round trip; a host that serves it all already is left alone
begin        is the host fit for it? number the release, make its folders, ask which large files it lacks
upload       large files by their digests, all others as one tar, compared there with the manifest
activate     on the host, in a process of its own: see activation.py
prove        read back that the host serves what was sent: see client/proof.py
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tritonops.remote.client.activation_log import DeployResult, _warn, activate, confirm_activation, require_unlocked
from tritonops.remote.client.checkout import GitCheckout
from tritonops.remote.client.endpoint import require_closed, serves_recorded
from tritonops.remote.client.host_state import HostState, inspect_host
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.layout.paths import OnStep
from tritonops.remote.ssh.host import Host
from tritonops.settings import Settings


def deploy_checkout(
    host: Host,
    checkout: GitCheckout,
    here: HostSettings,
    settings: Settings,
    *,
    send_models: bool,
    prune_models: bool = False,
    on_step: OnStep,
) -> DeployResult:
    """Bring a host to what the clone says; where that fails it serves what it served before.

    Raises HostUnreachableError, HostLockedError, DeployError (nothing that serves changed), RolledBackError,
    NotRolledBackError, ConnectionLostError (before the host began), and ResultUnknownError.
    """
    state = inspect_host(host, settings.remote_dir)
    if serves_already(host, state, checkout.fingerprint(here)) and not (prune_models and state.by_hand):
        assert state.release
        require_closed(host, state, grpc=False)
        _warn(state.by_hand, on_step)
        return DeployResult("nothing to do", state.release.id, state.release.digest, by_hand=state.by_hand)
    require_unlocked(host, state)
    wanted = wanted_files(checkout, settings, here, send_models=send_models)
    return _deployed(host, checkout, here, state, wanted, prune_models=prune_models, on_step=on_step)


def _deployed(
    host: Host,
    checkout: GitCheckout,
    here: HostSettings,
    state: HostState,
    wanted: Mapping[str, Path],
    *,
    prune_models: bool,
    on_step: OnStep,
) -> DeployResult:
    # What is imported here costs as much as a whole deploy with nothing to do.
    from tritonops.remote.client.push import push
    from tritonops.remote.client.upload import begin, send

    on_step("check the host")
    record, missing = begin(host, state, checkout, here, wanted)
    if missing:
        on_step(f"upload {len(missing)} large files")
        push(host, state, missing)
    on_step(f"upload {record.id}")
    send(host, checkout, here, state, record)
    options = "--prune-models" if prune_models else ""
    activation = activate(host, state, record.id, kind="deploy", options=options, on_step=on_step)
    config_dir = checkout.project / "triton-config"
    return confirm_activation(host, state, record, activation, "deployed", config_dir=config_dir, on_step=on_step)


def wanted_files(
    checkout: GitCheckout, settings: Settings, here: HostSettings, *, send_models: bool
) -> dict[str, Path]:
    """Find the large files that the host needs, by SHA-256: those of the checkout, and with `send_models` all models.

    Raises InputError for a model that the host would not get.
    """
    large = {file.sha256: checkout.project / file.path for file in checkout.manifest.large}
    if send_models:
        from tritonops.remote.client.push import pinned_files

        return large | pinned_files(checkout, settings.store_dir, here)
    checkout.require_models(here)
    return large


def serves_already(host: Host, state: HostState, fingerprint: str) -> bool:
    """Whether the host has this very release, nobody changed its disk or its env file, and its Triton serves it."""
    return (
        state.release is not None
        and state.activation is not None
        and state.interrupted is None
        and state.release.fingerprint == fingerprint
        and state.is_untouched
        and state.activation.env == state.env
        and serves_recorded(host, state)
    )
