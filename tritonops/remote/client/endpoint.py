"""The Triton of a host: gRPC through a tunnel, and one HTTP request that needs no gRPC import."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tritonops.errors import ForwardingRefusedError, TritonError, TritonUnreachableError
from tritonops.remote.client.host_state import HostState, inspect_host
from tritonops.remote.layout.scripts import script
from tritonops.remote.ssh.host import Host
from tritonops.remote.ssh.tunnel import tunnel
from tritonops.triton.client.http_request import INDEX, post
from tritonops.triton.client.token_header import token_headers

if TYPE_CHECKING:
    from tritonops.triton.client.client import TritonClient


@contextmanager
def remote_client(host: Host) -> Iterator[TritonClient]:
    """Connect to the Triton of `host`, with the ports and the token of the host's own env file."""
    with client_of(host, inspect_host(host)) as client:
        yield client


@contextmanager
def client_of(host: Host, state: HostState) -> Iterator[TritonClient]:
    """Connect to the Triton of a host. Raises ForwardingRefusedError at the first call."""
    from tritonops.triton.client.client import connect

    with tunnel(host, state.grpc_port) as path, connect(f"unix:{path}", token=state.token) as client:
        client.url = f"{host.name} (port {state.grpc_port}, over SSH)"  # for errors, not the tunnel's socket
        try:
            yield client
        except TritonUnreachableError:
            host.require_forwarding()
            raise


def serves_recorded(host: Host, state: HostState) -> bool:
    """Whether Triton serves the versions recorded after the deploy; models not in models.toml do not count."""
    found, recorded = served_now(host, state), state.activation.served if state.activation else ()
    if found is None:
        return False
    by_hand = {*state.by_hand, *(state.activation.by_hand if state.activation else ())}
    return sorted(row for row in found if row[0] not in by_hand) == sorted(
        row for row in recorded if row[0] not in by_hand
    )


def served_now(host: Host, state: HostState) -> tuple[tuple[str, int], ...] | None:
    """List the model versions that are ready on the host; None where its Triton does not answer.

    Over HTTP: importing gRPC would take longer than the request. Where port forwarding is refused, the host asks its
    own Triton.
    """
    try:
        return _served_over_http(host, state)
    except ForwardingRefusedError:
        return _served_per_host_task(host, state)


def _served_over_http(host: Host, state: HostState) -> tuple[tuple[str, int], ...] | None:
    try:
        with _http(host, state.http_port) as path:
            status, body = post(path, INDEX, b'{"ready": true}', headers=token_headers(state.token))
    except (OSError, ValueError):
        return None
    if status != 200:
        raise TritonError(f"{host.name}: Triton answers {status} {body.decode(errors='replace')[:200]}")
    return _ready(body, f"{host.name}: the server on port {state.http_port} is not a Triton")


def _served_per_host_task(host: Host, state: HostState) -> tuple[tuple[str, int], ...] | None:
    output = host.run(script("ask_task", root=state.root, arguments=["triton.list", "--json"]), check=False)
    if output.code == TritonUnreachableError.exit_code:
        return None
    if output.code:
        raise TritonError(f"{host.name}: {output.stderr.strip()[-300:]}")
    return _ready(output.stdout.encode(), f"{host.name}: the answer of its own Triton cannot be read")


def _ready(body: bytes, problem: str) -> tuple[tuple[str, int], ...]:
    try:
        rows = json.loads(body)
        return tuple(sorted((row["name"], int(row["version"])) for row in rows if row.get("state") == "READY"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise TritonError(f"{problem}: {exc!r}"[:300]) from exc


def require_closed(host: Host, state: HostState, *, grpc: bool = True) -> None:
    """Prove that the control API refuses requests without the token, if the host has one.

    Without `grpc` over HTTP alone, which needs no import. Raises OpenControlError, and TritonError if it is stopped.
    """
    if state.token is None:
        return
    from tritonops.triton.client.token_proof import require_closed_grpc, require_closed_http

    where = f"{host.name} (port {{}}, over SSH)"
    try:
        with _http(host, state.http_port) as path:
            require_closed_http(path, where=where.format(state.http_port))
    except ForwardingRefusedError:
        return  # the activation proved it on the host
    except (OSError, ValueError) as exc:
        raise TritonError(f"{host.name}: cannot prove that the token closes its control API: {exc}") from exc
    if grpc:
        with tunnel(host, state.grpc_port) as path:
            require_closed_grpc(f"unix:{path}", where=where.format(state.grpc_port))


@contextmanager
def _http(host: Host, port: int) -> Iterator[Path]:
    """Give the socket of an HTTP server of the host. Raises ForwardingRefusedError and ConnectionLostError."""
    with tunnel(host, port) as path:
        try:
            yield path
        except (OSError, ValueError):
            host.require_forwarding()
            raise
