"""Bring one host to what this clone says.

survey       one round trip; a host that serves it all already is left alone
begin        is the host fit for it? number the release, make its folders, ask which large files it lacks
upload       large files by their digests, all others as one tar, compared there with the manifest
activate     on the host, in a process of its own: see activation.py
prove        read back that the host serves what was sent: see client/proof.py
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tritonops.remote.client.activation_log import DeployResult, _confirmed, _warn, activate, require_free
from tritonops.remote.client.checkout import Source
from tritonops.remote.client.endpoint import require_closed, serves_recorded
from tritonops.remote.client.host_state import State, survey
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.layout.paths import Report
from tritonops.remote.ssh.host import Host
from tritonops.settings import Settings


def deploy_checkout(
    host: Host,
    source: Source,
    here: HostSettings,
    settings: Settings,
    *,
    send_models: bool,
    prune_models: bool = False,
    report: Report,
) -> DeployResult:
    """Bring a host to what the clone says; where that fails it serves what it served before.

    Raises HostUnreachableError, HostLockedError, DeployError (nothing that serves changed), RolledBackError,
    NotRolledBackError, ConnectionLostError (before the host began), and ResultUnknownError.
    """
    state = survey(host, settings.remote_dir)
    if serves_already(host, state, source.fingerprint(here)) and not (prune_models and state.by_hand):
        assert state.facts
        require_closed(host, state, grpc=False)
        _warn(state.by_hand, report)
        return DeployResult("nothing to do", state.facts.id, state.facts.digest, by_hand=state.by_hand)
    require_free(host, state)
    wanted = wanted_files(source, settings, here, send_models=send_models)
    return _deployed(host, source, here, state, wanted, prune_models=prune_models, report=report)


def _deployed(
    host: Host,
    source: Source,
    here: HostSettings,
    state: State,
    wanted: Mapping[str, Path],
    *,
    prune_models: bool,
    report: Report,
) -> DeployResult:
    # What is imported here costs as much as a whole deploy with nothing to do.
    from tritonops.remote.client.push import push
    from tritonops.remote.client.upload import begin, send

    report("check the host")
    facts, lacking = begin(host, state, source, here, wanted)
    if lacking:
        report(f"upload {len(lacking)} large files")
        push(host, state, lacking)
    report(f"upload {facts.id}")
    send(host, source, here, state, facts)
    options = "--prune-models" if prune_models else ""
    outcome = activate(host, state, facts.id, kind="deploy", options=options, report=report)
    config_dir = source.project / "triton-config"
    return _confirmed(host, state, facts, outcome, "deployed", config_dir=config_dir, report=report)


def wanted_files(source: Source, settings: Settings, here: HostSettings, *, send_models: bool) -> dict[str, Path]:
    """Find the large files that the host needs, by SHA-256: those of the checkout, and with `send_models` all models.

    Raises InputError for a model that the host would not get.
    """
    large = {file.sha256: source.project / file.path for file in source.manifest.large}
    if send_models:
        from tritonops.remote.client.push import pinned_files

        return large | pinned_files(source, settings.store_dir, here)
    source.require_models(here)
    return large


def serves_already(host: Host, state: State, fingerprint: str) -> bool:
    """Whether the host has this very release, nobody changed its disk or its env file, and its Triton serves it."""
    return (
        state.facts is not None
        and state.outcome is not None
        and state.interrupted is None
        and state.facts.fingerprint == fingerprint
        and state.is_untouched
        and state.outcome.env == state.env
        and serves_recorded(host, state)
    )
