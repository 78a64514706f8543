"""Proxies, certificate authorities and switches as people have them in their environment: obeyed, and named."""

import hashlib
import time
from http.server import BaseHTTPRequestHandler

import pytest

from tests.http_servers import serving
from tests.hub.server import GOOD_TOKEN
from tests.hub.socks import socks_proxy
from tests.models.catalogs import files_below, one_file, write
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


def hashed(certificate, folder):
    """Put a certificate into a folder as OpenSSL looks it up: under a hash of its subject, here of CN=a test."""
    folder.mkdir()
    subject = b"\x31\x0f\x30\x0d\x06\x03\x55\x04\x03\x0c\x06a test"
    name = int.from_bytes(hashlib.sha1(subject).digest()[:4], "little")
    (folder / f"{name:08x}.0").write_bytes(certificate.read_bytes())
    return folder


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_authorities_of_the_environment_are_trusted(project, certificate, process_environ, tmp_path, variable):
    named = hashed(certificate, tmp_path / "certificates") if variable == "SSL_CERT_DIR" else certificate
    process_environ[variable] = str(named)
    with serving(Origin, certificate) as address:
        write_url(project, f"https://{address}/model.onnx")
        assert download(Project(project)).downloaded == ("one/1",)


def test_a_folder_and_a_file_of_authorities_are_trusted_together(project, certificate, process_environ, tmp_path):
    import certifi

    process_environ["SSL_CERT_FILE"] = certifi.where()
    process_environ["SSL_CERT_DIR"] = f"/nonexistent:{hashed(certificate, tmp_path / 'certificates')}"
    with serving(Origin, certificate) as address:
        write_url(project, f"https://{address}/model.onnx")
        assert download(Project(project)).downloaded == ("one/1",)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("REQUESTS_CA_BUNDLE", "/nonexistent.pem", "no such file"),
        ("CURL_CA_BUNDLE", "/nonexistent.pem", "no such file"),
        ("SSL_CERT_FILE", "/nonexistent.pem", "no such file"),
        ("SSL_CERT_DIR", "/nonexistent", "not a folder"),
        ("SSL_CERT_FILE", "/etc/passwd", "no certificates"),
    ],
)
def test_authorities_that_cannot_be_read_are_an_error_with_their_variable(
    project, process_environ, variable, value, reason
):
    process_environ[variable] = value
    write_url(project, "https://127.0.0.1:9/model.onnx")
    error = failure_of(project)
    assert f"{variable} names {value}" in error
    assert reason in error


def test_a_bundle_of_requests_wins_over_that_of_openssl(project, certificate, process_environ):
    import certifi

    process_environ["REQUESTS_CA_BUNDLE"] = certifi.where()
    process_environ["SSL_CERT_FILE"] = str(certificate)
    with serving(Origin, certificate) as address:
        write_url(project, f"https://{address}/model.onnx")
        error = failure_of(project)
    assert "certificate verify failed: self-signed certificate" in error
    assert f"checked against {certifi.where()}, from REQUESTS_CA_BUNDLE" in error


@pytest.mark.parametrize("value", ["1", "true", "YES", "On"])
def test_offline_installs_what_is_stored_and_asks_nobody(project, hub, value):
    hub.push("team/stored", {"model.onnx": BODY})
    hub.push("team/new", {"model.onnx": b"new"})
    write(project, one_file("stored", "team/stored"))
    download(Project(project))
    (project.models_dir / "stored/1/model.onnx").unlink()
    (project.models_dir / "stored/1").rmdir()
    url = f'[[models.url]]\nurl = "{hub.cdn}/cdn/x"\nsha256 = "{"0" * 64}"\ntriton_version = 1\ntype = "single_file"\n'
    write(project, one_file("stored", "team/stored"), one_file("new", "team/new"), url)
    hub.seen.clear()
    result = download(Project(settings_of(project, HF_HUB_OFFLINE=value)))
    assert result.downloaded == ("stored/1",)
    assert [failure.model for failure in result.failed] == ["new/1", "url/1"]
    assert all("HF_HUB_OFFLINE forbids" in failure.error for failure in result.failed)
    assert hub.seen == []


def test_offline_names_a_pinned_file_that_is_not_stored(project, hub):
    hub.push("team/one", {"model.onnx": BODY})
    write(project, one_file("one", "team/one"))
    download(Project(project))
    for path in [*project.store_dir.glob("?" * 64), project.models_dir / "one/1/model.onnx"]:
        path.unlink()
    hub.seen.clear()
    assert "one/1/model.onnx is not stored here" in failure_of(settings_of(project, TRANSFORMERS_OFFLINE="1"))
    assert hub.seen == []


@pytest.mark.parametrize("environ", [{"HF_HUB_OFFLINE": "0"}, {"HF_HUB_OFFLINE": "no", "TRANSFORMERS_OFFLINE": "1"}])
def test_what_huggingface_hub_takes_for_no_is_online(project, hub, environ):
    hub.push("team/one", {"model.onnx": BODY})
    write(project, one_file("one", "team/one"))
    assert download(Project(settings_of(project, **environ))).failed == ()


def test_no_token_is_sent_where_none_may_be_sent_implicitly(project, hub):
    hub.push("team/one", {"model.onnx": BODY}, access="private")
    write(project, one_file("one", "team/one"))
    error = failure_of(settings_of(project, HF_TOKEN=GOOD_TOKEN, HF_HUB_DISABLE_IMPLICIT_TOKEN="1"))
    assert "HF_HUB_DISABLE_IMPLICIT_TOKEN is set, so no token was sent" in error
    assert all("Authorization" not in seen.headers for seen in hub.seen)
    assert download(Project(settings_of(project, HF_TOKEN=GOOD_TOKEN, HF_HUB_DISABLE_IMPLICIT_TOKEN="0"))).failed == ()
    assert files_below(project.models_dir) == {"one/1/model.onnx": BODY}
