"""What docker says in versions that are not here."""

import pytest

from tritonops.compose.engine.known_failures import known_failure
from tritonops.errors import (
    DockerError,
    EnginePermissionError,
    EngineUnreachableError,
    GpuMissingError,
    InputError,
    PublishedPortTakenError,
)


@pytest.mark.parametrize(
    ("text", "error"),
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
def test_what_several_versions_of_docker_say_is_recognised(text, error):
    assert type(known_failure(text)) is error


@pytest.mark.parametrize(
    ("output", "error", "message", "hint"),
    [
        ("Error response from daemon: Unknown runtime specified nvidia", GpuMissingError, "nvidia", "--cpu"),
        ("Error response from daemon: unknown or invalid runtime name: nvidia", GpuMissingError, "nvidia", "--cpu"),
        (
            "failed to create shim task: OCI runtime create failed: could not apply required modification to OCI "
            "specification: error modifying OCI spec: failed to inject CDI devices: unresolvable CDI devices "
            "nvidia.com/gpu=all: unknown",
            GpuMissingError,
            "unresolvable CDI devices nvidia.com/gpu=all",
            "--cpu",
        ),
        ('could not select device driver "cdi" with capabilities: []', GpuMissingError, '"cdi"', "--cpu"),
        (
            "Error response from daemon: CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=9",
            GpuMissingError,
            "nvidia.com/gpu=9",
            "--cpu",
        ),
        (
            'OCI runtime create failed: runc create failed: exec: "tritonserver": executable file not found in $PATH',
            InputError,
            "the image has no tritonserver",
            "TRITON_IMAGE",
        ),
        ("exec /usr/bin/sh: exec format error", DockerError, "another platform", "TRITON_IMAGE"),
        (
            'Conflict. The container name "/shop" is already in use by container "49109b38c6f1". You have to remove',
            DockerError,
            "the name shop",
            "docker rename shop",
        ),
        (
            "network shop_net declared as external, but could not be found",
            DockerError,
            "network shop_net",
            "docker network create shop_net",
        ),
        ("Error response from daemon: network gone not found", DockerError, "gone", "docker network create gone"),
        (
            "Error starting userland proxy: listen tcp4 192.0.2.1:8002: bind: cannot assign requested address",
            InputError,
            "192.0.2.1:8002 is not an address",
            "TRITON_BIND",
        ),
        ("Error response from daemon: container rootfs is marked read-only", InputError, "read_only", "read_only"),
        (
            'environment variable "TRITON_TOKEN" required by file "a_given" is not set',
            InputError,
            "TRITON_TOKEN",
            ".env",
        ),
        (
            "Error response from daemon: Minimum memory limit allowed is 6MB",
            InputError,
            "is 6MB",
            "TRITON_MEMORY",
        ),
        (
            "Emulate Docker CLI using podman. Create /etc/containers/nodocker to quiet msg.\n"
            "Error: unrecognized command `podman compose`",
            DockerError,
            "Podman",
            "inv server.up",
        ),
        (
            "Error: looking up compose provider failed\n2 errors occurred:\n"
            '\t* exec: "docker-compose": executable file not found in $PATH',
            DockerError,
            "Podman",
            "inv server.up",
        ),
    ],
)
def test_the_cause_is_named_with_what_to_do(output, error, message, hint):
    failure = known_failure(output)
    assert failure is not None
    assert type(failure) is error
    assert message in str(failure)
    assert hint in str(failure.hint)


def test_a_taken_port_is_named_with_its_address():
    text = "listen tcp4 127.0.0.1:8001: bind: address already in use"
    assert "127.0.0.1:8001 of this machine is taken" in str(known_failure(text))


def test_ordinary_output_is_no_known_failure():
    assert known_failure("Container triton-1  Started") is None
