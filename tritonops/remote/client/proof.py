"""Read back from a host that it serves what was sent: only then is it deployed.

manifest    the digest of the release's manifest, with which the host compared every file
link        the seal of the files that Triton reads is the one that was taken when they were hashed
load        each model was loaded by the process that serves now, after its files were linked
config      the served configs are those that followed the load
answer      the smoke tests, asked from here

Where the host lets nobody through to its ports, it asks its own Triton, and the result says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tritonops.errors import ForwardingRefusedError, TritonOpsError, UnprovenError
from tritonops.remote.client.endpoint import client_of, require_closed
from tritonops.remote.client.host_state import HostState, inspect_host, parse
from tritonops.remote.layout.records import ActivationRecord, RecordedLoad, ReleaseRecord, recorded_loads
from tritonops.remote.layout.shell_functions import SERVER
from tritonops.remote.layout.triton_state import TritonState, ask
from tritonops.remote.ssh.host import Host

FROM_HERE = "asked from here"
BY_THE_HOST = "asked by the host itself, which allows no port forwarding"

_RELEASE = r"""
cd -- "$root"
printf 'manifest\t%s\n' "$(sha256sum <current/manifest 2>/dev/null | cut -c1-64)"
printf 'server\t%s\n' "$(server "$runtime" "$port")"
"""


def prove(
    host: Host, root: str, record: ReleaseRecord, activation: ActivationRecord, *, config_dir: Path | None
) -> str:
    """Check each link of the chain, and return who asked Triton.

    `record` are those of the release that is to serve, and `config_dir` has the smoke tests. Raises UnprovenError that
    names what is otherwise, and OpenControlError.
    """
    state, loads = inspect_host(host, root), recorded_loads(activation)
    assert state.release
    variables = f"root={root} runtime={state.release.runtime} port={state.grpc_port}\n"
    release = parse(host.run(f"{variables}{SERVER}{_RELEASE}").stdout)
    answers, who = _answers(host, state, loads, config_dir)
    problems = [
        *_release_problems(state, record, activation, release.get("manifest", [""])[0]),
        *_load_problems(loads, release.get("server", [""])[0]),
        *_answer_problems(activation, loads, answers),
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


def _load_problems(loads: Mapping[str, RecordedLoad], server: str) -> Iterator[str]:
    for name, load in loads.items():
        if load.server != server:
            yield f"load: {name} was loaded by {load.server or 'an unknown process'}, {server or 'none'} serves now"


def _answer_problems(
    activation: ActivationRecord, loads: Mapping[str, RecordedLoad], answers: TritonState
) -> Iterator[str]:
    expected, found = set(activation.served), set(answers.served)
    for name, version in sorted(expected - found):
        yield f"answer: {name}/{version} is not served"
    for name, version in sorted(found - expected):
        yield f"answer: {name}/{version} is served, which the release did not leave"
    for name, config in answers.configs.items():
        if name in loads and loads[name].config != config:
            yield f"config: {name} is served with another config than after its load"
    for name, problem in answers.smoke.items():
        if problem:
            yield f"answer: the smoke test of {name}: {problem}"


def _answers(
    host: Host, state: HostState, loads: Mapping[str, RecordedLoad], config_dir: Path | None
) -> tuple[TritonState, str]:
    try:
        with client_of(host, state) as client:
            return ask(client, loads, config_dir), FROM_HERE
    except ForwardingRefusedError:
        return _asked_there(host, state), BY_THE_HOST


def _asked_there(host: Host, state: HostState) -> TritonState:
    text = host.run(f'"{state.root}/current/inv" remote.prove').stdout
    try:
        return TritonState.parse(text)
    except ValueError as exc:
        raise TritonOpsError(f"{host.name}: what its own Triton answers cannot be read: {exc}") from exc
