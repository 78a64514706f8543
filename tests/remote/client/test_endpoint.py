"""The Triton of a host, asked over HTTP through a forwarded socket."""

import http.server
import json
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.remote.fakes import DONE, FakeHost, inspection
from tritonops.errors import ForwardingRefusedError, OpenControlError, TritonError
from tritonops.remote.client.endpoint import require_closed, served_now, serves_recorded
from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.ssh.host import Output


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    answer: Callable[[str | None], tuple[int, bytes]]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = self.server.answer(self.headers.get("triton-token"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *arguments):
        pass


def index(*names):
    return json.dumps([{"name": name, "version": "1", "state": "READY"} for name in names]).encode()


class WebHost(FakeHost):
    """A host whose ports lead to a server of this test, or nowhere, for a reason."""

    def __init__(self, server, *outputs):
        super().__init__(*outputs)
        self.server = server

    def forward(self, port):
        return Path(str(self.server.server_address) if isinstance(self.server, Server) else "/nowhere")

    def unforward(self, listen, port):
        pass

    def require_forwarding(self):
        if isinstance(self.server, Exception):
            raise self.server


@pytest.fixture
def triton(tmp_path):
    """An HTTP server; `answer` is what it says, given the token of a request."""
    with Server(str(tmp_path / "http"), Handler) as server:
        server.answer = lambda token: (200, index("alpha"))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


STATE = inspect_host(FakeHost(inspection(env="TRITON_TOKEN=secret\n")))


def test_ready_versions_are_read_with_the_token(triton):
    triton.answer = lambda token: (200, index("alpha")) if token == "secret" else (403, b"no")
    assert served_now(WebHost(triton), STATE) == (("alpha", 1),)
    assert serves_recorded(WebHost(triton), STATE)


def test_a_triton_that_does_not_answer_serves_nothing():
    assert served_now(WebHost(None), STATE) is None
    assert not serves_recorded(WebHost(None), STATE)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [(500, b"broken", "answers 500 broken"), (200, b"<html>", "is not a Triton"), (200, b"[1]", "is not a Triton")],
)
def test_a_server_that_is_no_triton_is_named(triton, status, body, message):
    triton.answer = lambda token: (status, body)
    with pytest.raises(TritonError, match=message):
        served_now(WebHost(triton), STATE)


def test_models_by_hand_do_not_count(triton):
    triton.answer = lambda token: (200, index("alpha", "ensemble"))
    assert not serves_recorded(WebHost(triton), STATE)
    state = inspect_host(FakeHost(inspection("is_listed\tyes", "model\tensemble")))
    assert serves_recorded(WebHost(triton), state)
    assert state.activation == DONE


@pytest.mark.parametrize(
    ("output", "served"), [(Output(0, index("alpha").decode(), ""), (("alpha", 1),)), (Output(3, "", "down"), None)]
)
def test_without_port_forwarding_the_host_asks_its_own_triton(output, served):
    host = WebHost(ForwardingRefusedError("gpu-01: no"), output)
    assert served_now(host, STATE) == served
    assert "triton.list --json" in host.scripts[0]


def test_a_control_api_that_answers_without_the_token_is_found(triton):
    with pytest.raises(OpenControlError):
        require_closed(WebHost(triton), STATE, grpc=False)
    triton.answer = lambda token: (403, b"no")
    require_closed(WebHost(triton), STATE, grpc=False)
    with pytest.raises(TritonError, match="cannot prove"):
        require_closed(WebHost(None), STATE, grpc=False)
    require_closed(WebHost(None), inspect_host(FakeHost(inspection())))
