"""The command line of the embedded tritonserver."""

from pathlib import Path

import pytest

from tests.onnx_models import write_model
from tritonops.server.command_line import (
    backends_dir,
    command,
    fixed_flags,
    memory_option,
    restrictions,
    shared_memory_prefix,
)
from tritonops.server.installation import Installation
from tritonops.server.ports import Ports

PARTS = ("executable", "python_backend", "stub", "libraries", "libpython", "libpython_name", "python_bin")
INSTALLATION = Installation(*(Path("/opt", part) for part in PARTS))  # type: ignore[arg-type]


def built(models_dir, server_dir, token=None):
    return command(INSTALLATION, models_dir, server_dir, ports=Ports(1, 2, 3), token=token)


def test_paths_are_absolute_and_the_server_listens_on_loopback_alone(tmp_path):
    words = built(tmp_path / "triton", tmp_path / ".server")
    assert words[0] == "/opt/executable"
    assert f"--model-repository={tmp_path}/triton" in words
    assert f"--backend-directory={backends_dir(tmp_path / '.server')}" in words
    assert {"--http-port=1", "--grpc-port=2", "--metrics-port=3", "--model-control-mode=explicit"} <= {*words}
    assert [word for word in words if "-address=" in word] == [
        f"--{protocol}-address=127.0.0.1" for protocol in ("http", "grpc", "metrics")
    ]


def test_each_model_has_a_load_thread_of_its_own(tmp_path):
    for name in "abc":
        write_model(tmp_path / "triton", name)
    assert "--model-load-thread-count=11" in built(tmp_path / "triton", tmp_path / ".server")


@pytest.mark.parametrize("token", [None, "secret"])
def test_unused_apis_are_closed_with_a_random_key_and_control_with_the_token(token):
    first, second = restrictions(token), restrictions(token)
    assert first[0].startswith("--grpc-restricted-protocol=shared-memory,trace,logging:closed=")
    assert first[0] != second[0]
    control = [word for word in first if "model-repository,model-config:triton-token=secret" in word]
    assert len(control) == (2 if token else 0)


def test_the_fixed_flags_have_no_secret_and_no_folder(tmp_path):
    words = built(tmp_path / "triton", tmp_path / ".server", "secret")
    assert not any("secret" in flag or str(tmp_path) in flag for flag in fixed_flags())
    assert {flag for flag in fixed_flags() if flag.startswith("--")} <= {*words}


def test_each_folder_has_a_prefix_of_its_own(tmp_path):
    prefix = shared_memory_prefix(tmp_path)
    assert prefix == shared_memory_prefix(tmp_path) != shared_memory_prefix(tmp_path / "another")
    assert memory_option(tmp_path).endswith(f"={prefix}")
