"""The way to a server: certificates and proxies, as the environment names them."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import select
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.http_servers import serving, write_certificate
from tests.models.catalogs import files_below, one_file, write
from tritonops.models.download import download
from tritonops.project import Project

BODY = b"weights"


class Origin(BaseHTTPRequestHandler):
    """Has one file, under every name."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *arguments: object) -> None:
        pass


class Proxy(Origin):
    """Forwards a request for an absolute URL, and opens a tunnel for CONNECT."""

    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(f"GET {self.path} {self.headers.get('Proxy-Authorization')}")
        url = urlsplit(self.path)
        upstream = http.client.HTTPConnection(url.netloc)
        upstream.request("GET", url._replace(scheme="", netloc="").geturl(), headers=dict(self.headers))
        answer = upstream.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        upstream.close()

    def do_CONNECT(self) -> None:
        self.seen.append(f"CONNECT {self.path}")
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: upstream, upstream: self.connection}
            with contextlib.suppress(OSError):
                while all((data := end.recv(1 << 16)) and not ends[end].sendall(data) for end in _readable(ends)):
                    pass
        self.close_connection = True


def _readable(ends: dict[socket.socket, socket.socket]) -> list[socket.socket]:
    return select.select(list(ends), [], [], 10)[0] or [next(iter(ends))]


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []
    with serving(type("Recording", (Proxy,), {"seen": seen})) as address:
        yield address, seen


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, with its key, which nobody trusts unless told to."""
    return write_certificate(tmp_path_factory.mktemp("tls") / "certificate.pem")


def write_url(project, url: str) -> None:
    sha256 = hashlib.sha256(BODY).hexdigest()
    write(project, f'[[models.one]]\nurl = "{url}"\nsha256 = "{sha256}"\ntriton_version = 1\n')


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once_and_says_so(project, certificate):
    with serving(Origin, certificate) as address:
        write_url(project, f"https://{address}/model.onnx")
        (failure,) = download(Project(project)).failed
    assert "certificate verify failed" in failure.error
    assert not list(project.models_dir.glob("*/*"))


def test_a_bundle_of_certificates_named_by_the_environment_is_trusted(project, certificate, process_environ):
    process_environ["REQUESTS_CA_BUNDLE"] = str(certificate)
    with serving(Origin, certificate) as address:
        write_url(project, f"https://{address}/a%20folder/model.onnx?x=1#part")
        assert download(Project(project)).downloaded == ("one/1",)


def test_a_proxy_gets_whole_urls_and_its_own_password(project, hub, proxy, process_environ):
    address, seen = proxy
    process_environ["HTTP_PROXY"] = f"http://user:secret@{address}"
    hub.push("team/one", {"model.onnx": BODY})
    write(project, one_file("one", "team/one"))
    assert download(Project(project)).downloaded == ("one/1",)
    assert files_below(project.models_dir) == {"one/1/model.onnx": BODY}
    assert len(seen) == 3
    assert all(line.startswith("GET http://127.0.0.1:") and line.endswith("Basic dXNlcjpzZWNyZXQ=") for line in seen)


def test_a_proxy_sees_no_more_of_tls_than_the_name_of_the_host(project, certificate, proxy, process_environ):
    address, seen = proxy
    process_environ["HTTPS_PROXY"] = f"http://{address}"
    process_environ["REQUESTS_CA_BUNDLE"] = str(certificate)
    with serving(Origin, certificate) as server:
        write_url(project, f"https://{server}/model.onnx")
        assert download(Project(project)).downloaded == ("one/1",)
        assert set(seen) == {f"CONNECT {server}"}


def test_a_host_that_no_proxy_names_is_asked_directly(project, hub, proxy, process_environ):
    address, seen = proxy
    process_environ["HTTP_PROXY"] = f"http://{address}"
    process_environ["NO_PROXY"] = "127.0.0.1"
    hub.push("team/one", {"model.onnx": BODY})
    write(project, one_file("one", "team/one"))
    assert download(Project(project)).downloaded == ("one/1",)
    assert not seen


def test_a_url_may_have_no_path(project):
    with serving(Origin) as address:
        write_url(project, f"http://{address}?x=1")
        assert download(Project(project)).downloaded == ("one/1",)
