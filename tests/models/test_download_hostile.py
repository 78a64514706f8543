"""Hostile and broken Hubs: each ends in one clean line, in bounded time and memory, with nothing out of place.

All of them run in `./inv bench hostile`, with the deadlines that people have.
"""

import socketserver
import threading

import pytest

from tests.hub.hostile import CASES
from tests.hub.hostile_run import run
from tests.models.catalogs import one_file
from tritonops.models.download import download
from tritonops.project import Project
from tritonops.settings import load_settings

IN_CI = (
    *("size-negative", "size-of-5000-digits", "commit-control-characters", "name-parent", "json-deep-in-an-entry"),
    *("json-many-empty-lists", "siblings-a-million", "listing-endless", "listing-body-dripped", "listing-silent"),
    *(
        "listing-cut-in-a-chunk-once",
        "listing-gzip-bomb",
        "listing-error-of-60000-characters",
        "listing-429-superscript",
    ),
    *("header-dripped", "header-10000", "http-100-flood", "length-superscript", "chunk-trailers-endless", "chunk-cut"),
    *("body-a-byte-at-a-time", "redirect-ipv6-bad", "sha256-wrong"),
)


@pytest.mark.parametrize("name", IN_CI)
def test_a_hostile_hub_ends_in_one_line_that_says_what_is_wrong(tmp_path, name):
    ended = run(CASES[name], tmp_path, environment={"TRITON_STALL_SECONDS": "0.5"})
    assert ended.complaints == (), ended.stderr


SILENT = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 2",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a listing": b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{"sha": "',
}


class Listener(socketserver.ThreadingTCPServer):
    """A server that sends the same few bytes to everybody, and counts its connections."""

    request_queue_size, daemon_threads = 512, True
    fragment, count = b"", 0

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Fragment)
        self.over = threading.Event()


class _Fragment(socketserver.BaseRequestHandler):
    server: Listener

    def handle(self):
        self.server.count += 1
        self.request.sendall(self.server.fragment)
        self.server.over.wait(60)


@pytest.fixture
def listener():
    with Listener() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@pytest.mark.parametrize("kind", SILENT)
def test_what_many_models_want_of_a_server_that_never_answers_fails_together(tmp_path, listener, kind):
    listener.fragment = SILENT[kind]
    count, connections = 150, 64
    (tmp_path / "models.toml").write_text("\n".join(one_file(f"m{i}", f"team/m{i}") for i in range(count)))
    environ = {
        "MODELS_TOML": str(tmp_path / "models.toml"),
        "TRITON_MODELS_DIR": str(tmp_path / "triton"),
        "HF_ENDPOINT": f"http://127.0.0.1:{listener.server_address[1]}",
        "TRITON_STALL_SECONDS": "1",
    }
    result = download(Project(load_settings(tmp_path, environ=environ)), max_connections=connections)
    assert len(result.failed) == count
    assert "gave up after one try" in result.failed[-1].error
    assert listener.count <= 2 * connections + (count - connections)  # those that come late ask once
