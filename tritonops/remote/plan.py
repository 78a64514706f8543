"""Preview a deploy to one host."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tritonops.compose.definition import completes_configs
from tritonops.models.catalog.lockfile import LockedVersion, load_lock
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.check import check
from tritonops.models.checked import Checked
from tritonops.models.configs.variants import Variant
from tritonops.models.disk.replaced_files import displayed
from tritonops.models.disk.repository import Repository
from tritonops.models.rules.judged_server import server_of_image
from tritonops.project import Project
from tritonops.remote.client.checkout import GitCheckout
from tritonops.remote.client.endpoint import serves_recorded
from tritonops.remote.client.host_state import HostState, inspect_host, loads_since_activation
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.client.upload import changed_files
from tritonops.remote.deploy import is_up_to_date
from tritonops.remote.layout.definition import runtime_definition
from tritonops.remote.layout.records import LOG_LOST
from tritonops.remote.layout.scripts import script
from tritonops.remote.ssh.host import Host
from tritonops.triton_image import parse_image

NOT_LISTED = "not in models.toml"
_DISABLED = "disabled on this host, so not served"
_NO_MODELS = Path("/nonexistent")
_PRUNED = f"{NOT_LISTED}: out of service, to shared/triton-disabled"


@dataclass(frozen=True)
class HostChange:
    """One difference between the checkout and a host."""

    what: str
    """ "release", "model", "file", "restart", "check", "server", "disk", "env"."""
    name: str
    change: str

    @property
    def is_difference(self) -> bool:
        """Whether a deploy would change it."""
        return self.change not in (NOT_LISTED, _DISABLED)


def plan(host: Host, project: Project, checkout: GitCheckout, *, prune_models: bool = False) -> list[HostChange]:
    """List the changes, and what a deploy leaves as it is.

    These are models not in models.toml, which `prune_models` would take out of service, and disabled ones.
    """
    state, host_settings = inspect_host(host), project.hosts.settings(host.name)
    left = [HostChange("model", name, _PRUNED if prune_models else NOT_LISTED) for name in state.by_hand]
    left += [HostChange("model", name, _DISABLED) for name in state.disabled]
    if is_up_to_date(host, state, checkout.fingerprint(host_settings)):
        return left
    files = changed_files(host, state, checkout, host_settings)
    definition = _definition(state, checkout, host_settings)
    return [
        *left,
        _release(state, checkout),
        *_models(_current_pins(host, state), checkout, host_settings),
        *(HostChange("file", displayed(name), "differs") for name in files),
        *_restart(state, definition),
        *_verdicts(state, definition, project, host_settings),
        *_since_the_deploy(host, state),
    ]


def _release(state: HostState, checkout: GitCheckout) -> HostChange:
    missing = f"{state.current}, whose folder is missing" if state.current else "nothing"
    current = f"{state.release.commit} ({state.release.subject})" if state.release else missing
    return HostChange("release", f"{checkout.label} ({checkout.head.subject})", f"replaces {current}")


def _models(
    current: Mapping[str, LockedVersion], checkout: GitCheckout, host_settings: HostSettings
) -> list[HostChange]:
    catalog, pins = load_catalog(checkout.models_toml), load_lock(checkout.models_toml.with_suffix(".lock"))
    declared = [version.label for version in catalog.versions if host_settings.serves(version.hosts)]
    replaced = [label for label in declared if _is_replaced(current.get(label), pins.get(label))]
    return [
        *(HostChange("model", label, "add") for label in declared if label not in current),
        *(HostChange("model", label, "replace: other files") for label in replaced),
        *(HostChange("model", label, "remove") for label in current if label not in declared),
    ]


def _definition(state: HostState, checkout: GitCheckout, host_settings: HostSettings) -> dict[str, str]:
    env = {name: value for name, value in state.env_values.items() if value}
    record = checkout.release_record(host_settings, release="", at="")
    return runtime_definition(checkout.project, record, env)


def _restart(state: HostState, definition: Mapping[str, str]) -> list[HostChange]:
    """List the differences from the definition that Triton was started with, and what else makes it restart."""
    if state.started is None:
        return []
    gap = f", {state.started.gap:g} s at its last restart" if state.started.gap is not None else ""
    change = f"Triton restarts: no answers until its models are loaded{gap}"
    reasons = [*state.started.reasons(definition), *([LOG_LOST] if state.is_log_lost else [])]
    return [HostChange("restart", reason, change) for reason in reasons]


def _verdicts(
    state: HostState, definition: Mapping[str, str], project: Project, host_settings: HostSettings
) -> list[HostChange]:
    """Judge the configs again where the image changes: what the new one refuses, a deploy would not serve."""
    running, image = state.started.parts.get("image") if state.started else None, definition.get("image")
    if image is None or running in (None, image):
        return []
    completes = completes_configs(project.settings)
    server = server_of_image(parse_image(image, may_be_tag=False), completes_configs=completes)
    variant: Variant = "cpu" if host_settings.config == "cpu" else "gpu"
    served = {version.name for version in project.catalog.versions if host_settings.serves(version.hosts)}
    checked = Checked.of(project, server=server, trials="none", variants=(variant,))
    # The configs alone: the models on this machine are not those of the host.
    findings = check(replace(checked, repository=Repository(_NO_MODELS)), include=sorted(served))
    errors = [finding for finding in findings if finding.severity == "error" and finding.code != "source-changed"]
    return [HostChange("check", finding.model, f"{finding.what} [{finding.code}]") for finding in errors]


def _is_replaced(before: LockedVersion | None, after: LockedVersion | None) -> bool:
    return before is not None and after is not None and before.files != after.files


def _current_pins(host: Host, state: HostState) -> Mapping[str, LockedVersion]:
    if state.release is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "models.lock")
        path.write_text(host.run(script("current_pins", root=state.root)).stdout, encoding="utf-8")
        return load_lock(path)


def _since_the_deploy(host: Host, state: HostState) -> list[HostChange]:
    """List the changes made on the host itself, which a deploy undoes."""
    if state.release is None or state.activation is None:
        return []
    changes = []
    if state.interrupted:
        changes.append(HostChange("release", state.interrupted, "its switch was interrupted: goes back first"))
    if not state.is_unchanged:
        changes.append(HostChange("disk", "shared/triton", "was changed on the host since its deploy"))
    enabled = sorted({*state.activation.disabled} - {*state.disabled})
    changes += [HostChange("model", name, "was enabled on the host since its deploy") for name in enabled]
    loaded = "was loaded by another command since the deploy"
    changes += [HostChange("server", name, loaded) for name in loads_since_activation(host, state)]
    if state.env != state.activation.env:
        changes.append(HostChange("env", "env", "was changed on the host since its deploy"))
    elif not serves_recorded(host, state):
        changes.append(HostChange("server", "Triton", "does not serve what it served after the deploy"))
    return changes
