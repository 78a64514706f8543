"""Passwords of HF_ENDPOINT and of proxies, and signatures of URLs: used, and never shown."""

import base64
import hashlib
import os
import subprocess

import pytest

from tests.models.catalogs import one_file, write
from tests.models.test_download_route import BODY, write_url
from tests.paths import PROJECT
from tritonops.errors import SettingsError
from tritonops.models.catalog.lockfile import differences, load_lock
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.download import download
from tritonops.models.list import list_versions
from tritonops.project import Project
from tritonops.settings import load_settings

SECRETS = ("hunter2", "alice", "c2lnbmF0dXJl", base64.b64encode(b"alice:hunter2").decode())


def run(settings, *arguments, **env):
    """Run the real command, with `-d`, which shows most."""
    command = [PROJECT / "inv", "-d", *arguments]
    paths = {"MODELS_TOML": settings.models_toml, "TRITON_MODELS_DIR": settings.models_dir, "HF_TOKEN": ""}
    environ = {**os.environ, **{name: str(path) for name, path in paths.items()}, **env}
    done = subprocess.run(command, env=environ, cwd=settings.project, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def command(project):
    return lambda *arguments, **env: run(project, *arguments, **env)


def test_a_hub_that_refuses_is_named_without_the_password(hub, project, command):
    write(project, one_file("a", "team/nothing"))
    endpoint = hub.endpoint.replace("://", "://alice:'hunter2'%40%2F@")
    code, output = command("models.download", HF_ENDPOINT=endpoint)
    assert code == 1
    assert f"http://***@{hub.endpoint.rpartition('/')[2]}/api/models/team/nothing" in output
    assert not [secret for secret in SECRETS if secret in output]


def test_a_hub_that_wants_a_password_gets_it(hub, project):
    write(project, one_file("a", "team/a"))
    settings = load_settings(
        project.project, environ={"HF_ENDPOINT": hub.endpoint.replace("://", "://alice:hunter2@"), "HF_TOKEN": ""}
    )
    failed = download(Project(settings)).failed
    assert {seen.headers["Authorization"] for seen in hub.seen} == {f"Basic {SECRETS[-1]}"}
    assert not [secret for secret in SECRETS if secret in failed[0].error]


def test_servers_and_proxies_that_cannot_be_reached_are_named_without_secrets(project, command):
    urls = ["http://127.0.0.1:1/x", "https://127.0.0.1:1/x", "http://host.invalid/x", "https://host.invalid/x"]
    entries = [
        f'[[models.m{number}]]\nurl = "{url}?X-Amz-Signature=c2lnbmF0dXJl"\nsha256 = "{"0" * 64}"\ntriton_version = 1\n'
        for number, url in enumerate(urls)
    ]
    write(project, *entries)
    proxies = {"http_proxy": "http://alice:hunter2@127.0.0.1:1", "https_proxy": "alice:hunter2@127.0.0.1:2"}
    code, output = command("models.download", "--json", **proxies, no_proxy="127.0.0.1")
    assert code == 1
    assert not [secret for secret in SECRETS if secret in output]


def test_neither_list_nor_lock_shows_a_signature(project, command):
    write_url(project, "http://host.invalid/x?X-Amz-Signature=c2lnbmF0dXJl")
    for arguments in (["models.list", "--json"], ["models.lock", "--check"]):
        assert "c2lnbmF0dXJl" not in command(*arguments)[1]
    rows = list_versions(Project(project)).versions
    assert [row.source for row in rows] == ["http://host.invalid/x"]


def test_a_lock_that_an_earlier_release_wrote_with_the_query_stays_valid(project):
    write_url(project, "http://host.invalid/x?X-Amz-Signature=c2lnbmF0dXJl")
    catalog = load_catalog(project.models_toml)
    sha256 = hashlib.sha256(BODY).hexdigest()
    project.lock_path.write_text(
        '[models.one.1]\nsource = "http://host.invalid/x?X-Amz-Signature=c2lnbmF0dXJl as model.onnx"\n'
        f'files = [{{ path = "model.onnx", size = 7, sha256 = "{sha256}" }}]\n'
    )
    assert differences(catalog, load_lock(project.lock_path)) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_ENDPOINT", "ftp://alice:hunter2@hub"),
        ("HF_ENDPOINT", "alice:hunter2@hub"),
        ("HF_ENDPOINT", "https://alice:hunter2 @hub"),
        ("HF_ENDPOINT", "https://alice:1/hunter2@hub"),
        ("HF_ENDPOINT", "https://hub/?token=hunter2"),
        ("TRITON_URL", "alice:hunter2@host:8001"),
        ("TRITON_URL", "grpc://alice:hunter2@host:8001"),
        ("TRITON_BIND", "alice:hunter2@host"),
        ("TRITON_RUNTIME", "https://alice:hunter2@host"),
    ],
)
def test_a_setting_that_is_wrong_is_named_without_the_password(tmp_path, name, value):
    with pytest.raises(SettingsError, match=name) as raised:
        load_settings(tmp_path, environ={name: value})
    assert not [secret for secret in SECRETS if secret in raised.value.in_one_line]


@pytest.mark.parametrize(
    "endpoint", ["https://hub", "http://127.0.0.1:80/", "https://u:p@[::1]:1/mirror/hf/", "HTTPS://HUB.example"]
)
def test_a_mirror_may_have_a_port_a_path_and_a_password(tmp_path, endpoint):
    settings = load_settings(tmp_path, environ={"HF_ENDPOINT": endpoint})
    assert settings.hf_endpoint == endpoint.rstrip("/")
    assert "u:p" not in repr(settings)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://alice:hunter2@",
        "alice:hunter2@",
        "http://alice:hunter2@[::1",
        "http://alice:hun hunter2@127.0.0.1:1",
        "ftp://alice:hunter2@127.0.0.1:1",
        "http://alice:hunter2@127.0.0.1:99999",
        "http://alice:hunter2:1",
        "http://alice:hunter2/x@127.0.0.1:1",
        "://alice:hunter2@127.0.0.1",
    ],
)
def test_a_proxy_that_is_none_is_named_by_its_variable_only(project, process_environ, proxy):
    write_url(project, "http://host.invalid/x")
    process_environ["http_proxy"] = proxy
    (failure,) = download(Project(project)).failed
    assert "http_proxy" in failure.error
    assert not [secret for secret in SECRETS if secret in failure.error]
