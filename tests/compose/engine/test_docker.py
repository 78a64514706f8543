"""Failures of docker, from the real command where this machine can show them."""

import os
import socket

import pytest

from tritonops.compose.engine.docker import Docker
from tritonops.errors import (
    ComposeMissingError,
    ComposeTooOldError,
    DockerError,
    DockerMissingError,
    EnginePermissionError,
    EngineUnreachableError,
)

pytestmark = pytest.mark.docker


@pytest.fixture
def docker(tmp_path):
    return lambda **variables: Docker(tmp_path, variables)


def test_without_a_docker_command_the_error_says_how_to_get_it_and_sends_nowhere_else(docker, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DockerMissingError) as raised:
        docker().output(["docker", "version"])
    assert raised.value.exit_code == 1
    assert raised.value.hint == "Install Docker: https://docs.docker.com/engine/install/"


def test_an_engine_that_does_not_answer_is_unreachable(docker, tmp_path):
    with pytest.raises(EngineUnreachableError, match=r"nothing\.sock") as raised:
        docker(DOCKER_HOST=f"unix://{tmp_path}/nothing.sock").output(["docker", "ps"])
    assert raised.value.exit_code == 3


def test_a_socket_that_this_user_may_not_use_is_told_apart_from_a_dead_one(docker, tmp_path):
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o000)
        as_nobody = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        with pytest.raises(EnginePermissionError) as raised:
            docker(DOCKER_HOST=f"unix://{path}", HOME="/").output([*as_nobody, "docker", "ps"])
    assert raised.value.exit_code == 3
    assert "group docker" in str(raised.value.hint)


@pytest.fixture
def without_compose(docker, tmp_path):
    """A docker whose Compose plugin does not run; it is found before one that may be installed."""
    plugin = tmp_path / "config" / "cli-plugins" / "docker-compose"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("#!/bin/sh\nexit 1\n")
    plugin.chmod(0o755)
    return docker(DOCKER_CONFIG=str(tmp_path / "config"))


def test_a_docker_without_the_compose_plugin_is_named(without_compose):
    with pytest.raises(ComposeMissingError, match="no Compose plugin"):
        without_compose.output(["docker", "compose", "--file", "ml.yml", "ps"])


def test_the_old_compose_is_named_as_too_old(without_compose, monkeypatch, tmp_path):
    old = tmp_path / "docker-compose"
    old.write_text("#!/bin/sh\necho 'docker-compose version 1.29.2'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ComposeMissingError, match=r"version 1 is here.*too old"):
        without_compose.output(["docker", "compose", "ps"])


@pytest.mark.parametrize("version", ["2.2.3", "v2.5.0", "2.19.1-4"])
def test_a_compose_whose_commands_mean_something_else_is_refused_by_its_version(docker, tmp_path, version):
    plugin = tmp_path / "config" / "cli-plugins" / "docker-compose"
    plugin.parent.mkdir(parents=True)
    metadata = '{"SchemaVersion":"0.1.0","Vendor":"x","Version":"x","ShortDescription":"x"}'
    plugin.write_text(f"#!/bin/sh\ncase $1 in docker-cli*) echo '{metadata}' ;; *) echo {version} ;; esac\n")
    plugin.chmod(0o755)
    with pytest.raises(ComposeTooOldError, match=rf"Compose {version} is too old: 2\.20"):
        docker(DOCKER_CONFIG=str(tmp_path / "config")).require_compose()


def test_the_compose_of_this_machine_is_new_enough(docker):
    docker().require_compose()


def test_any_other_failure_shows_the_command_and_what_docker_said_last(docker):
    with pytest.raises(DockerError, match=r"(?s)`docker inspect nothing-of-that-name` failed: .*[Nn]o such object"):
        docker().output(["docker", "inspect", "nothing-of-that-name"])


def test_lines_are_passed_on_as_they_come_and_the_command_ends_with_its_reader(docker, tmp_path):
    """The reader goes away at the first line; a command that went on would write the file."""
    late = tmp_path / "late"

    def read_one(line):
        assert line == "first"
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        docker().watch(["sh", "-c", f"trap 'exit 1' TERM; echo first; sleep 30 & wait; touch {late}"], read_one)
    assert not late.exists()
