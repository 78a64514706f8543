"""Tasks that clients of any version start on a host over SSH. `inv --list` does not show them."""

from __future__ import annotations

from dataclasses import asdict

from invoke import Context

from tasks.output.terminal import print_json
from tasks.shared.checkout import PROJECT, project
from tasks.shared.task import task
from tritonops.errors import HostLockedError


@task(
    help={
        "release": "The id of a release on this host.",
        "by": "Author, for the records.",
        "kind": "deploy or rollback, for the records (default: deploy).",
        "prune_models": "Take models that are not in models.toml out of service.",
    },
    positional=["release"],
)
def activate(c: Context, release: str, by: str = "somebody", kind: str = "deploy", prune_models: bool = False) -> None:
    """Switch this host to a release."""
    from tritonops.remote.host.activation import activate as activate_release
    from tritonops.remote.layout.paths import Layout
    from tritonops.remote.layout.records import ActivationRecord

    layout = Layout(PROJECT.parents[2])
    try:
        record = activate_release(layout, release, by=by, kind=kind, prune_models=prune_models, on_step=_print_line)
    except HostLockedError as exc:
        record = ActivationRecord("locked", "", message=str(exc))
    _print_line(f"outcome\t{record.as_json()}")


@task()
def prove(c: Context) -> None:
    """Print the state of this host's Triton."""
    from tritonops.remote.layout.paths import Layout
    from tritonops.remote.layout.records import recorded_loads
    from tritonops.remote.layout.triton_state import read_triton_state

    current = Layout(PROJECT.parents[2]).current
    loads = recorded_loads(current.activation if current else None)
    with project().connect() as client:
        print_json(asdict(read_triton_state(client, loads, project().settings.config_dir)))


def _print_line(line: str) -> None:
    print(line, flush=True)
