"""A temporary container that shows whether a new one could start."""

import json

import pytest

from tests.compose.stub_docker import container
from tritonops.compose.commands import Compose
from tritonops.compose.definition import Definition
from tritonops.compose.start_check import probe
from tritonops.errors import GpuMissingError, InputError

PORTS = [
    {"target": 8001, "published": "9001", "host_ip": "127.0.0.1"},
    {"target": 8000, "published": "9100", "host_ip": "::1", "protocol": "tcp"},
    {"target": 8002, "published": "9102"},
]


def run(stub, **service):
    lines: list[str] = []
    definition = Definition("app", "triton", {"image": "triton:new", "command": "tritonserver", **service})
    probe(stub.docker, Compose(), definition, running=container(), watch=lines.append)
    return lines


def test_the_server_is_started_for_its_usage_on_ports_that_the_running_one_does_not_have(stub):
    stub.answer("compose run*", "Usage: tritonserver [options]", code=1)
    assert run(stub, ports=PORTS) == []
    (call,) = [call for call in stub.calls if "run" in call]
    published = [word for word in call.split() if "/tcp" in word]
    assert published == ["127.0.0.1::8001/tcp", "[::1]:9100:8000/tcp", "9102:8002/tcp"]


def test_a_fixed_address_is_in_use_and_said_not_to_be_checked(stub):
    (line,) = run(stub, networks={"a": {"ipv4_address": "10.0.0.2"}})
    assert line.startswith("not checked whether a new container can start")
    assert stub.calls == []


def test_another_program_than_the_server_is_not_started(stub):
    stub.answer("image inspect*", json.dumps([{"Config": {"Entrypoint": ["sh"], "Cmd": None}}]))
    assert run(stub, command=None) == []
    assert not any("run" in call for call in stub.calls)


@pytest.mark.parametrize(
    ("output", "code", "error", "message"),
    [
        ('could not select device driver "nvidia" with capabilities: [[gpu]]', 125, GpuMissingError, "device driver"),
        ("", 137, InputError, "the memory limit is too small"),
        ("cannot open shared object", 1, InputError, "does not start tritonserver: cannot open shared object"),
        ("", 1, InputError, "does not start tritonserver: exit code 1"),
    ],
)
def test_each_failure_has_its_own_error(stub, output, code, error, message):
    stub.answer("compose run*", stderr=output, code=code)
    with pytest.raises(error, match=message):
        run(stub)


def test_an_image_for_another_platform_is_named_with_both(stub):
    stub.answer("compose run*", stderr="exec format error", code=1)
    stub.answer("image inspect*", json.dumps([{"Os": "linux", "Architecture": "arm64"}]))
    stub.answer("version*", json.dumps({"Os": "linux", "Arch": "amd64"}))
    with pytest.raises(InputError, match="triton:new is for linux/arm64, the engine's machine is linux/amd64"):
        run(stub)
