"""What a deploy would change on a host; nothing is changed to find out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tritonops.models.catalog.lockfile import LockedVersion, load_lock
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.disk.replaced_files import displayed
from tritonops.remote.client.checkout import GitCheckout
from tritonops.remote.client.endpoint import serves_recorded
from tritonops.remote.client.host_state import HostState, inspect_host
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.client.upload import changed_files
from tritonops.remote.deploy import serves_already
from tritonops.remote.layout.definition import definition
from tritonops.remote.ssh.host import Host

NOT_LISTED = "not in models.toml"
_PRUNED = f"{NOT_LISTED}: out of service, to shared/triton-disabled"


@dataclass(frozen=True)
class Change:
    """One difference between this clone and a host."""

    what: str
    """ "release", "model", "file", "restart", "server", "disk", "env"."""
    name: str
    change: str

    @property
    def is_difference(self) -> bool:
        """Whether a deploy would change it."""
        return self.change != NOT_LISTED


def plan(
    host: Host, checkout: GitCheckout, here: HostSettings, *, directory: str, prune_models: bool = False
) -> list[Change]:
    """List what differs, and the models that are not in models.toml: with `prune_models` these would go."""
    state = inspect_host(host, directory)
    by_hand = [Change("model", name, _PRUNED if prune_models else NOT_LISTED) for name in state.by_hand]
    if serves_already(host, state, checkout.fingerprint(here)):
        return by_hand
    return [
        *by_hand,
        *_release(state, checkout),
        *_models(host, state, here, checkout),
        *(Change("file", displayed(name), "differs") for name in changed_files(host, checkout, here, state)),
        *_restart(state, here, checkout),
        *_since_the_deploy(host, state),
    ]


def _release(state: HostState, checkout: GitCheckout) -> list[Change]:
    gone = f"{state.current}, whose folder is gone" if state.current else "nothing"
    serving = f"{state.release.commit} ({state.release.subject})" if state.release else gone
    return [Change("release", f"{checkout.label} ({checkout.head.subject})", f"takes the place of {serving}")]


def _models(host: Host, state: HostState, here: HostSettings, checkout: GitCheckout) -> list[Change]:
    catalog = load_catalog(checkout.models_toml)
    wanted = [version.label for version in catalog.versions if here.serves(version.hosts)]
    there, pins = _pins_there(host, state), load_lock(checkout.models_toml.with_suffix(".lock"))
    replaced = [label for label in wanted if _replaced(there.get(label), pins.get(label))]
    return [
        *(Change("model", label, "add") for label in wanted if label not in there),
        *(Change("model", label, "replace: other files") for label in replaced),
        *(Change("model", label, "remove") for label in there if label not in wanted),
    ]


def _restart(state: HostState, here: HostSettings, checkout: GitCheckout) -> list[Change]:
    """What Triton was started with and is not to run with any longer."""
    if state.started is None:
        return []
    env = {name: value for name, value in state.env_values.items() if value}
    reasons = state.started.reasons(definition(checkout.project, checkout.release_record(here, release="", at=""), env))
    gap = f", {state.started.gap:g} s at its last restart" if state.started.gap is not None else ""
    return [
        Change("restart", reason, f"Triton restarts: no answers until its models are loaded{gap}") for reason in reasons
    ]


def _replaced(before: LockedVersion | None, after: LockedVersion | None) -> bool:
    return before is not None and after is not None and before.files != after.files


def _pins_there(host: Host, state: HostState) -> Mapping[str, LockedVersion]:
    if state.release is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "models.lock")
        text = host.run(f"cat {state.root}/current/project/models.lock 2>/dev/null || true").stdout
        path.write_text(text, encoding="utf-8")
        return load_lock(path)


def _since_the_deploy(host: Host, state: HostState) -> list[Change]:
    """What somebody changed on the host itself; a deploy puts it right."""
    if state.release is None or state.activation is None:
        return []
    changes = []
    if state.interrupted:
        changes.append(Change("release", state.interrupted, "its switch was interrupted: goes back first"))
    if not state.is_untouched:
        changes.append(Change("disk", "shared/triton", "was changed on the host since its deploy"))
    if state.env != state.activation.env:
        changes.append(Change("env", "env", "was changed on the host since its deploy"))
    elif not serves_recorded(host, state):
        changes.append(Change("server", "Triton", "does not serve what it served after the deploy"))
    return changes
