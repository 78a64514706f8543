"""Deploy a checkout to one host.

inspect      one round trip; a host that is up to date is left alone
begin        check the host, number the release, make its folders, ask which large files are missing
upload       large files by their digests, all others as one tar, compared there with the manifest
activate     on the host, in a process of its own: see host/activation.py
prove        read back that the host serves the release: see client/proof.py
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tritonops.project import Project
from tritonops.remote.client.activation_log import (
    DeployResult,
    activate,
    confirm_activation,
    require_unlocked,
    warn_of_changes_by_hand,
)
from tritonops.remote.client.checkout import GitCheckout
from tritonops.remote.client.endpoint import require_closed, serves_recorded
from tritonops.remote.client.host_state import HostState, inspect_host, loads_since_activation
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.layout.callbacks import OnStep
from tritonops.remote.ssh.host import Host


def deploy_checkout(
    host: Host,
    project: Project,
    checkout: GitCheckout,
    *,
    send_models: bool = False,
    prune_models: bool = False,
    on_step: OnStep,
) -> DeployResult:
    """Deploy the checkout; a failed host is rolled back.

    Raises HostUnreachableError, HostLockedError, DeployError (what is served was not changed), RolledBackError,
    NotRolledBackError, ConnectionLostError (before the host began), and ResultUnknownError.
    """
    state, host_settings = inspect_host(host), project.hosts.settings(host.name)
    fingerprint = checkout.fingerprint(host_settings)
    if is_up_to_date(host, state, fingerprint) and not (prune_models and state.by_hand):
        assert state.release
        require_closed(host, state, grpc=False)
        warn_of_changes_by_hand(state.by_hand, state.disabled, on_step)
        return DeployResult(
            "nothing to do", state.release.id, state.release.digest, by_hand=state.by_hand, disabled=state.disabled
        )
    require_unlocked(host, state)
    large = large_files(checkout, project.settings.store_dir, host_settings, send_models=send_models)
    return _deploy(host, state, checkout, host_settings, large, prune_models=prune_models, on_step=on_step)


def _deploy(
    host: Host,
    state: HostState,
    checkout: GitCheckout,
    host_settings: HostSettings,
    large: Mapping[str, Path],
    *,
    prune_models: bool,
    on_step: OnStep,
) -> DeployResult:
    # These imports cost as much as a whole deploy with nothing to do.
    from tritonops.remote.client.push import push
    from tritonops.remote.client.upload import begin, send

    on_step("check the host")
    record, missing = begin(host, state, checkout, host_settings, large)
    if missing:
        on_step(f"upload {len(missing)} large files")
        push(host, state, missing)
    on_step(f"upload {record.id}")
    send(host, state, checkout, host_settings, record)
    activation = activate(host, state, record.id, kind="deploy", prune_models=prune_models, on_step=on_step)
    config_dir = checkout.project / "triton-config"
    return confirm_activation(host, state, record, activation, "deployed", config_dir=config_dir, on_step=on_step)


def large_files(
    checkout: GitCheckout, store_dir: Path, host_settings: HostSettings, *, send_models: bool
) -> dict[str, Path]:
    """List the large files for a host by SHA-256: those of the checkout, and with `send_models` all models.

    Raises InputError for a model that the host would not get.
    """
    large = {file.sha256: checkout.project / file.path for file in checkout.manifest.large}
    if send_models:
        from tritonops.remote.client.push import pinned_files

        return large | pinned_files(checkout, store_dir, host_settings)
    checkout.require_models(host_settings)
    return large


def is_up_to_date(host: Host, state: HostState, fingerprint: str) -> bool:
    """Whether Triton serves this very release, and nobody changed its disk or the env file, or loaded a model since.

    What was loaded since is unknown where the log of the server is lost.
    """
    return (
        state.release is not None
        and state.activation is not None
        and state.interrupted is None
        and not state.is_log_lost
        and state.release.fingerprint == fingerprint
        and state.is_unchanged
        and {*state.disabled} == {*state.activation.disabled}
        and state.activation.env == state.env
        and serves_recorded(host, state)
        and not loads_since_activation(host, state)
    )
