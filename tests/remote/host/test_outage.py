"""The gap of a restart, measured against a server that stops answering."""

import http.server
import threading
import time

import pytest

from tests.remote.sshd import free_port
from tritonops.remote.host.outage import Outage


class Server(http.server.ThreadingHTTPServer):
    status = 200
    asked: list[str] = []  # noqa: RUF012 - set by the fixture


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Handler) as server:
        server.status, server.asked = 200, []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_server_that_is_always_ready_has_no_gap(server):
    with Outage("127.0.0.1", (server.server_port,), ["a b"]) as outage:
        time.sleep(0.1)
    assert outage.seconds == 0
    assert set(server.asked) == {"/v2/models/a%20b/ready"}


def test_the_longest_time_without_an_answer_is_the_gap(server):
    with Outage("127.0.0.1", (server.server_port,), ["alpha"]) as outage:
        time.sleep(0.1)
        server.status = 400
        time.sleep(0.3)
        server.status = 200
        time.sleep(0.2)
    assert outage.seconds is not None
    assert 0.25 < outage.seconds < 5


def test_a_server_on_another_port_counts_and_one_that_never_comes_back_does_too(server):
    with Outage("127.0.0.1", (free_port(), server.server_port), ["alpha"]) as outage:
        time.sleep(0.1)
    assert outage.seconds == 0
    with Outage("127.0.0.1", (free_port(),), ["alpha"]) as outage:
        time.sleep(0.1)
    assert outage.seconds


def test_without_models_there_is_nothing_to_measure():
    with Outage("127.0.0.1", (1,), []) as outage:
        pass
    assert outage.seconds is None
