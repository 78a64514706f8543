"""What docker says in versions that are not here."""

import pytest

from tritonops.compose.known_failures import known_failure
from tritonops.errors import (
    EnginePermissionError,
    EngineUnreachableError,
    GpuMissingError,
    InputError,
    PublishedPortTakenError,
)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (
            "Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: "
            'Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/version": dial unix: permission denied',
            EnginePermissionError,
        ),
        (
            "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock",
            EnginePermissionError,
        ),
        (
            "failed to connect to the docker API at unix:///x.sock; is the daemon running?",
            EngineUnreachableError,
        ),
        ("error during connect: Get http://gpu-01/v1.24/info: command [ssh gpu-01] has exited", EngineUnreachableError),
        (
            "Error response from daemon: driver failed programming external connectivity on endpoint a-triton-1 (8f): "
            "Bind for 127.0.0.1:8001 failed: port is already allocated",
            PublishedPortTakenError,
        ),
        (
            "Error response from daemon: Ports are not available: exposing port TCP 127.0.0.1:8001 -> 0.0.0.0:0: "
            "listen tcp 127.0.0.1:8001: bind: address already in use",
            PublishedPortTakenError,
        ),
        ('could not select device driver "nvidia" with capabilities: [[gpu]]', GpuMissingError),
        (
            "Error starting userland proxy: listen tcp4 192.0.2.1:8002: bind: cannot assign requested address",
            InputError,
        ),
        ('invalid value for "since": failed to parse value as time or duration: "yesterday"', InputError),
        ("no such service: tritn", InputError),
        ("stat /srv/app.yml: no such file or directory", InputError),
        ("nvidia-container-cli: initialization error: nvml error: driver not loaded", GpuMissingError),
    ],
)
def test_what_several_versions_of_docker_say_is_recognised(said, error):
    assert type(known_failure(said)) is error


def test_a_taken_port_is_named_with_its_address():
    said = "listen tcp4 127.0.0.1:8001: bind: address already in use"
    assert "127.0.0.1:8001 of this machine is taken" in str(known_failure(said))


def test_ordinary_output_is_no_known_failure():
    assert known_failure("Container triton-1  Started") is None
