import os
import shlex
import shutil
import socket
import subprocess
import time

import pytest

from tests.paths import PROJECT
from tritonops.server import embedded, quickstart
from tritonops.server.ports import free_ports
from tritonops.settings import load_settings

pytestmark = pytest.mark.usefixtures("embedded_runtime")


@pytest.fixture
def environ():
    """Usual ports that nobody has, so that this machine's servers do not matter."""
    ports = free_ports()
    return {
        "TRITON_EXPOSE_HTTP": str(ports.http),
        "TRITON_EXPOSE_GRPC": str(ports.grpc),
        "TRITON_EXPOSE_METRICS": str(ports.metrics),
    }


@pytest.fixture
def settings(tmp_path, environ):
    """The settings of a project with no more than the example."""
    shutil.copytree(PROJECT / "examples", tmp_path / "a clone" / "examples")
    settings = load_settings(tmp_path / "a clone", environ=environ)
    yield settings
    if server := embedded.find(settings.project / ".quickstart" / ".server"):
        embedded.kill(server)


def run(settings, environ):
    with quickstart.prepared(settings, environ) as started:
        for step in started.steps():
            step.run()
    return started


def test_the_sample_is_recognized_and_nothing_lies_outside_its_folder(settings, environ):
    lock = (settings.project / "examples/digits/models.lock").read_bytes()
    answer = run(settings, environ).prediction
    assert answer.digit == 7
    assert answer.probability > 0.9
    assert sorted(path.name for path in settings.project.iterdir()) == [".quickstart", "examples"]
    assert (settings.project / "examples/digits/models.lock").read_bytes() == lock


def test_a_second_run_asks_the_same_server_whatever_happened_to_the_model(settings, environ, inv, monkeypatch):
    first = run(settings, environ)
    server = embedded.find(first.settings.server_dir)
    for word in shlex.split(quickstart.env_file(settings).read_text(), comments=True):
        if "=" in word:
            monkeypatch.setenv(*word.split("=", 1))
    assert inv("triton.unload", "digits", "--yes")[0] == 0
    assert run(settings, environ).prediction == first.prediction
    assert embedded.find(first.settings.server_dir) == server


def test_an_env_that_somebody_wrote_is_kept(settings, environ):
    env = quickstart.env_file(settings)
    env.parent.mkdir()
    env.write_text("export MINE=1\n")
    for _ in range(2):
        with quickstart.prepared(settings, environ):
            assert "MINE" not in env.read_text()
    (kept,) = (env.parent / ".store/replaced").rglob("env")
    assert kept.read_text() == "export MINE=1\n"


def test_a_usual_port_that_is_taken_is_replaced_by_a_free_one(settings, environ):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", settings.grpc_port))
        listener.listen()
        with quickstart.prepared(settings, environ) as started:
            assert started.settings.grpc_port != settings.grpc_port
            assert started.settings.triton_url == f"127.0.0.1:{started.settings.grpc_port}"
            assert started.settings.http_port == settings.http_port


def test_each_command_that_is_shown_works_when_typed(settings, environ):
    with quickstart.prepared(settings, environ) as started:
        steps = started.steps()
    typed = "\n".join(shlex.join([str(PROJECT / "inv"), *step.arguments]) for step in steps)
    script = f"set -e\n. {shlex.quote(str(quickstart.env_file(settings)))}\n{typed}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "digit INT64 [1, 1]\n[[7]]\n" in done.stdout


def test_stopping_says_whether_there_was_a_server(settings, environ):
    assert not quickstart.stop(settings)
    with quickstart.prepared(settings, environ) as started:
        at = started.settings
        embedded.start(at.models_dir, at.server_dir, ports=free_ports())
    assert quickstart.stop(settings)
    assert not quickstart.stop(settings)


def test_an_image_is_drawn_two_characters_a_pixel():
    assert quickstart.picture([[0, 4, 8], [12, 16, 0]]) == "  ░░▒▒\n▓▓██  "


@pytest.mark.slow
def test_a_fresh_clone_answers_within_a_minute_and_then_within_fifteen_seconds(tmp_path, environ, package_index):
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in (name for name in listed.split("\0") if name and (PROJECT / name).exists()):
        (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, tmp_path / "clone" / name)

    def inv(*arguments):
        started = time.monotonic()
        done = subprocess.run(
            [tmp_path / "clone" / "inv", "quickstart", *arguments],
            cwd=tmp_path,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done, time.monotonic() - started

    try:
        first, first_seconds = inv()
        second, second_seconds = inv()
    finally:
        stopped, _ = inv("--stop")
    assert "The model says: 7" in first.stdout
    assert first.stdout == second.stdout
    assert stopped.stderr == "The quickstart's server is stopped.\n"
    assert first_seconds < 60
    assert second_seconds < 15
