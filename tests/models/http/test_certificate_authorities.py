"""Certificate authorities as people have them in their environment: trusted, and named."""

import hashlib

import pytest

from tests.http_servers import serving
from tests.models.http.test_proxies import failure_of
from tests.models.test_download_route import Origin, certificate, write_url
from tritonops.models.download import download
from tritonops.project import Project

__all__ = ["certificate"]  # a fixture


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
