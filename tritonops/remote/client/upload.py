"""Make a release on a host: check the host, send the files, complete the release."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tritonops.errors import DeployError
from tritonops.models.catalog.parsing import read_catalog_text
from tritonops.remote.client.checkout import GitCheckout
from tritonops.remote.client.host_state import HostState, parse_answers
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.client.manifest import parse_listing
from tritonops.remote.client.preflight import HostAnswers, preflight, require_fit
from tritonops.remote.layout.deploy_lock import LockOwner, host_locked_error, parse_lock_owner
from tritonops.remote.layout.inv_wrapper import inv_wrapper
from tritonops.remote.layout.records import ReleaseRecord
from tritonops.remote.layout.scripts import script
from tritonops.remote.ssh.host import Host
from tritonops.triton_image import DEFAULT_IMAGE

_DIFFERENT = 45


def begin(
    host: Host, state: HostState, checkout: GitCheckout, host_settings: HostSettings, large: Mapping[str, Path]
) -> tuple[ReleaseRecord, dict[str, Path]]:
    """Number a release and make its folders, once the host is fit for it; find the large files that it lacks.

    `large` are files by their SHA-256. Raises HostLockedError where another deploy is running, and DeployError.
    """
    sizes = "".join(f"{sha256} {path.stat().st_size}\n" for sha256, path in large.items())
    steps = script("begin_release", "missing_files", root=state.root, label=checkout.label, sizes=sizes)
    questions = preflight(host_settings, venv=checkout.venv, image=state.image or DEFAULT_IMAGE)
    output = host.run(steps + questions, check=False)
    if output.code:
        raise DeployError(f"cannot write to {state.root}: {output.stderr.strip()}")
    answers = parse_answers(output.stdout)
    if "locked" in answers:
        owner = parse_lock_owner(answers["locked"][0]) or LockOwner("somebody", "just now", "a deploy", 0)
        raise host_locked_error(host.name, owner)
    require_fit(host.name, HostAnswers(answers, host_settings))
    record = checkout.release_record(host_settings, release=answers["id"][0], at=answers["at"][0])
    return record, {sha256: large[sha256] for sha256 in answers.get("missing", [])}


def send(
    host: Host, state: HostState, checkout: GitCheckout, host_settings: HostSettings, record: ReleaseRecord
) -> None:
    """Send the files of a release into its folder, compare them with the manifest there, and complete it.

    The large ones are on the host already. Raises DeployError where the files that arrived are not those hashed here.
    """
    large = [[file.sha256, "x" if file.is_executable else "-", file.path] for file in checkout.manifest.large]
    own_models = models_of(host_settings, checkout.models_toml)
    program = script(
        "listing",
        "receive_release",
        "complete_release",
        arguments=[word for words in large for word in words],
        root=state.root,
        id=record.id,
        different=_DIFFERENT,
        record=json.dumps(asdict(record)),
        wrapper=inv_wrapper(state.root, record),
        has_own_models=own_models is not None,
        models_toml=own_models or "",
    )
    output = host.run(program, data=checkout.packed, check=False)
    if output.code == _DIFFERENT:
        raise DeployError(
            f"{host.name}: the files that arrived are not those hashed here (left: sent, right: arrived):\n"
            f"{output.stderr}",
            hint="Were files changed meanwhile? Deploy again: everything is hashed and sent again.",
        )
    if output.code:
        raise DeployError(f"{host.name}: the files cannot be written to {state.root}: {output.stderr.strip()}")


def changed_files(host: Host, state: HostState, checkout: GitCheckout, host_settings: HostSettings) -> list[str]:
    """List the files that differ by content from those of the current release; none before the first."""
    if state.release is None:
        return []
    output = host.run(script("listing", "current_files", root=state.root))
    there = parse_listing(base64.b64decode(output.stdout))
    expected = dict(parse_listing(checkout.manifest.text))
    if (own := models_of(host_settings, checkout.models_toml)) is not None:
        expected["models.toml"] = hashlib.sha256(f"{own}\n".encode()).hexdigest()
    return sorted(path for path, content in expected.items() if there.get(path) != content)


def models_of(host_settings: HostSettings, models_toml: Path) -> str | None:
    """Give models.toml without the entries for other hosts; None where it is the same for all hosts."""
    text = read_catalog_text(models_toml)
    if "hosts" not in text:
        return None
    import tomlkit

    document: Any = tomlkit.parse(text)
    models = document["models"]
    for name, entries in list(models.items()):
        for index in reversed(range(len(entries))):
            if not host_settings.serves(entries[index].pop("hosts", [])):
                del entries[index]
        if not entries:
            del models[name]
    return tomlkit.dumps(document)
