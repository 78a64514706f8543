"""Proxies as people have them in their environment: obeyed, and named."""

import time
from http.server import BaseHTTPRequestHandler

import pytest

from tests.http_servers import serving
from tests.hub.socks import socks_proxy
from tests.models.catalogs import one_file, write
from tests.models.test_download_route import BODY, Origin, certificate, proxy, write_url
from tritonops.models.download import download
from tritonops.project import Project
from tritonops.settings import load_settings

__all__ = ["certificate", "proxy"]  # fixtures
DEAD = "127.0.0.1:9"


def settings_of(project, **environ):
    return load_settings(project.project, environ={**project.environment.process, **environ})


def failure_of(settings):
    [failure] = download(Project(settings)).failed
    return failure.error


@pytest.mark.parametrize(
    ("variable", "scheme"),
    [
        ("HTTP_PROXY", "http"),
        ("http_proxy", "http"),
        ("HTTPS_PROXY", "https"),
        ("https_proxy", "https"),
        ("ALL_PROXY", "http"),
        ("all_proxy", "https"),
    ],
)
@pytest.mark.parametrize("kind", ["http", "socks5", "socks5h"])
def test_a_dead_proxy_is_named_with_its_variable(project, process_environ, variable, scheme, kind):
    process_environ[variable] = f"{kind}://alice:hunter2@{DEAD}"
    write_url(project, f"{scheme}://127.0.0.1:1/model.onnx")
    error = failure_of(settings_of(project, TRITON_STALL_SECONDS="0.5"))
    assert f"the proxy {kind}://***@{DEAD} of {variable} failed: connection refused" in error
    assert "hunter2" not in error


def test_a_lower_case_variable_wins_and_is_the_one_that_is_named(project, process_environ):
    process_environ["HTTP_PROXY"] = "http://127.0.0.1:1"
    process_environ["http_proxy"] = DEAD
    write_url(project, "http://127.0.0.1:1/model.onnx")
    assert f"the proxy http://{DEAD} of http_proxy failed" in failure_of(
        settings_of(project, TRITON_STALL_SECONDS="0.5")
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("socks://127.0.0.1:1080", "HTTP_PROXY names a proxy of an unknown kind, 'socks'"),
        ("ftp://127.0.0.1:1080", "HTTP_PROXY names a proxy of an unknown kind, 'ftp'"),
        ("http://127.0.0.1:port", "HTTP_PROXY is not the URL of a proxy"),
        ("http://", "HTTP_PROXY is not the URL of a proxy"),
    ],
)
def test_what_is_no_proxy_is_refused_at_once(project, process_environ, value, reason):
    process_environ["HTTP_PROXY"] = value
    write_url(project, "http://127.0.0.1:1/model.onnx")
    error = failure_of(settings_of(project))
    assert reason in error
    assert "gave up" not in error


@pytest.mark.parametrize("excluded", ["127.0.0.1", "127.0.0.0/8", "localhost, 127.0.0.1", "*"])
def test_no_proxy_names_what_is_asked_directly(project, hub, process_environ, excluded):
    process_environ["ALL_PROXY"] = f"http://{DEAD}"
    process_environ["NO_PROXY"] = excluded
    hub.push("team/one", {"model.onnx": BODY})
    write(project, one_file("one", "team/one"))
    assert download(Project(project)).failed == ()


@pytest.mark.parametrize("excluded", ["10.0.0.0/8", "127.0.0.11", "localhost"])
def test_what_no_proxy_does_not_name_goes_through_the_proxy(project, hub, proxy, process_environ, excluded):
    address, seen = proxy
    process_environ["HTTP_PROXY"] = f"http://{address}"
    process_environ["NO_PROXY"] = excluded
    hub.push("team/one", {"model.onnx": BODY})
    write(project, one_file("one", "team/one"))
    assert download(Project(project)).failed == ()
    assert seen


@pytest.mark.parametrize(
    ("url", "asked"),
    [("socks5://{}", "address"), ("socks5h://{}", "name"), ("socks5h://alice:hunter2@{}", "name alice:hunter2")],
)
def test_a_socks_proxy_works_for_both_schemes(project, certificate, process_environ, url, asked):
    process_environ["SSL_CERT_FILE"] = str(certificate)
    with socks_proxy() as socks, serving(Origin, certificate) as secure, serving(Origin) as plain:
        process_environ["ALL_PROXY"] = url.format(socks.address)
        for version, server in enumerate((f"https://{secure}", f"http://localhost:{plain.rpartition(':')[2]}"), 1):
            write_url(project, f"{server}/model.onnx")
            text = project.models_toml.read_text().replace("triton_version = 1", f"triton_version = {version}")
            project.models_toml.write_text(text)
            assert download(Project(project), overwrite=True).failed == ()
            for path in project.store_dir.glob("?" * 64):
                path.unlink()
    assert socks.seen[-1] == asked
    assert len(socks.seen) >= 2


class Refusing(BaseHTTPRequestHandler):
    """A proxy that requires a password."""

    def do_CONNECT(self) -> None:
        self.send_error(407)

    def do_GET(self) -> None:
        self.do_CONNECT()

    def log_message(self, *arguments: object) -> None:
        pass


class Silent(Refusing):
    """A proxy that drips its answer."""

    def do_CONNECT(self) -> None:
        for _ in range(100):
            self.wfile.write(b"H")
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("scheme", "reason"), [("https", "failed: Tunnel connection failed: 407"), ("http", "answered 407")]
)
def test_a_proxy_that_refuses_is_named(project, process_environ, scheme, reason):
    with serving(Refusing) as address:
        process_environ["ALL_PROXY"] = f"http://{address}"
        write_url(project, f"{scheme}://127.0.0.1:1/model.onnx")
        error = failure_of(settings_of(project, TRITON_STALL_SECONDS="0.3"))
    assert reason in error
    assert f"the proxy http://{address} of ALL_PROXY" in error


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_proxy_that_drips_its_answer_is_given_up_and_named(project, process_environ, scheme):
    started = time.monotonic()
    with serving(Silent) as address:
        process_environ["ALL_PROXY"] = f"http://{address}"
        write_url(project, f"{scheme}://127.0.0.1:1/model.onnx")
        error = failure_of(settings_of(project, TRITON_STALL_SECONDS="0.5"))
    assert f"the proxy http://{address} of ALL_PROXY" in error
    assert "no answer in time" in error
    assert time.monotonic() - started < 6
