"""Read back from a host that it serves the release that was sent: only then it is deployed.

manifest    the digest of the release's manifest, with which the host compared every file
link        the seal of the files that Triton reads is the one that was taken when they were hashed
load        each model was loaded by the process that serves now, after its files were linked
config      the served configs are those that followed the load
answer      the smoke tests, run from here

Where port forwarding is refused, the host asks its own Triton, and the result says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tritonops.errors import ForwardingRefusedError, TritonOpsError, UnprovenError
from tritonops.remote.client.endpoint import client_of, require_closed
from tritonops.remote.client.host_state import HostState, inspect_host, loads_since_activation, parse_answers
from tritonops.remote.layout.records import ActivationRecord, RecordedLoad, ReleaseRecord, recorded_loads
from tritonops.remote.layout.scripts import script
from tritonops.remote.layout.triton_state import TritonState, read_triton_state
from tritonops.remote.ssh.host import Host

FROM_HERE = "asked from here"
BY_THE_HOST = "asked by the host itself, which allows no port forwarding"


def prove(host: Host, record: ReleaseRecord, activation: ActivationRecord, *, config_dir: Path | None) -> str:
    """Check each link of the chain, and return who asked Triton.

    `config_dir` has the smoke tests. Raises UnprovenError that names each difference, and OpenControlError.
    """
    state, loads = inspect_host(host), recorded_loads(activation)
    assert state.release
    names, runtime = ("answer", "loads_since", "server_process", "prove_release"), state.release.runtime
    program = script(*names, root=state.root, runtime=runtime)
    release = parse_answers(host.run(program).stdout)
    triton, who = _triton_state(host, state, loads, config_dir)
    problems = [
        *_release_problems(state, record, activation, release.get("manifest", [""])[0]),
        *_load_problems(loads_since_activation(host, state), loads, release.get("server", [""])[0]),
        *_answer_problems(activation, loads, triton),
    ]
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        hint = f"inv remote.status --host {host.name}, and inv remote.logs --host {host.name}; then deploy again."
        raise UnprovenError(f"{host.name}: {record.id} is active, but not proved to serve:\n{lines}", hint=hint)
    require_closed(host, state)
    return who


def _release_problems(
    state: HostState, record: ReleaseRecord, activation: ActivationRecord, manifest: str
) -> Iterator[str]:
    if state.release is None or state.release.id != record.id:
        yield f"manifest: the current release is {state.release.id if state.release else 'gone'}"
    if record.digest and manifest != record.digest:
        yield f"manifest: its digest is {manifest[:12]}, that of what was sent is {record.digest[:12]}"
    if activation.seal and state.seal != activation.seal:
        yield "link: somebody changed the files that Triton reads since they were hashed"


def _load_problems(since: Sequence[str], loads: Mapping[str, RecordedLoad], server: str) -> Iterator[str]:
    if not server:
        yield "load: no server of this folder runs"
    for name in since:
        yield f"load: {name} was loaded by another command since"
    for name, load in loads.items():
        if load.server != server:
            yield f"load: {name} was loaded by {load.server or 'an unknown process'}, {server or 'none'} serves now"


def _answer_problems(
    activation: ActivationRecord, loads: Mapping[str, RecordedLoad], triton: TritonState
) -> Iterator[str]:
    expected, found = set(activation.served), set(triton.served)
    for name, version in sorted(expected - found):
        yield f"answer: {name}/{version} is not served"
    for name, version in sorted(found - expected):
        yield f"answer: {name}/{version} is served, which the release does not have"
    for name, config in triton.configs.items():
        if name in loads and loads[name].config != config:
            yield f"config: {name} is served with another config than after its load"
    for name, problem in triton.smoke.items():
        if problem:
            yield f"answer: the smoke test of {name}: {problem}"


def _triton_state(
    host: Host, state: HostState, loads: Mapping[str, RecordedLoad], config_dir: Path | None
) -> tuple[TritonState, str]:
    try:
        with client_of(host, state) as client:
            return read_triton_state(client, loads, config_dir), FROM_HERE
    except ForwardingRefusedError:
        return _asked_by_host(host, state), BY_THE_HOST


def _asked_by_host(host: Host, state: HostState) -> TritonState:
    text = host.run(script("ask_task", root=state.root, arguments=["remote.prove"])).stdout
    try:
        return TritonState.parse(text)
    except ValueError as exc:
        raise TritonOpsError(f"{host.name}: the answer of its own Triton cannot be read: {exc}") from exc
