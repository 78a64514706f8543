"""The light client of control calls: nothing of tritonclient's package is imported for it, and both can be used."""

import json
import subprocess
import sys

import pytest

from tests.paths import PROJECT
from tritonops.models.configs.generated_protobuf import generated
from tritonops.triton.client.grpc_stub import ControlCallError, Server

PROGRAM = """
import json, sys
sys.path.insert(0, {project!r})
from tritonops.triton.client.client import connect
with connect({url!r}) as client:
    ready, index = client.is_ready(), len(client.index())
light = sorted({{"numpy", "tritonclient.grpc"}} & sys.modules.keys())
import tritonclient.grpc
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonops.models.configs.generated_protobuf import generated
same = generated("model_config_pb2") is model_config_pb2 and generated("service_pb2") is service_pb2
print(json.dumps([ready, index >= 0, light, same]))
"""


def test_control_calls_import_neither_numpy_nor_tritonclients_client_and_share_its_messages(triton):
    program = PROGRAM.format(project=str(PROJECT), url=triton.grpc_url)
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, True, [], True]


def test_a_server_that_is_not_there_is_an_error_with_grpcs_code():
    server = Server("127.0.0.1:9", [])
    with pytest.raises(ControlCallError) as caught:
        server.is_server_live(headers={}, client_timeout=2)
    assert caught.value.status() == "StatusCode.UNAVAILABLE"
    assert "Connection refused" in caught.value.message()
    server.close()


def test_the_messages_are_those_of_triton():
    assert generated("model_config_pb2").ModelConfig(name="clip").name == "clip"
