"""The small CPU image in containers: what it serves, refuses and survives."""

import gc
import json
import shutil
import threading
from typing import Any

import numpy as np
import onnxruntime
import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.network import Network
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from tests.onnx_models import affine, write_model
from tests.paths import PROJECT
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.compose.engine.docker import Docker
from tritonops.errors import (
    DockerError,
    EngineUnreachableError,
    ImagePullError,
    InputError,
    LoadError,
    ServerDiedError,
    ServiceError,
    TokenRefusedError,
    TritonOpsError,
)
from tritonops.testing import TritonContainer
from tritonops.triton.client.client import connect
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.load import load_model
from tritonops.triton.unload import unload_model

pytestmark = pytest.mark.docker
DIGITS = PROJECT / "examples" / "digits"
TOKEN = "a-token-of-these-tests"


@pytest.fixture(scope="session")
def triton_image():
    return CPU_IMAGE


@pytest.fixture(scope="session")
def triton_models_dir(tmp_path_factory):
    """The digits example, as `models.download` and `models.config --cpu` would lay it out, and one model more."""
    models_dir = tmp_path_factory.mktemp("containers") / "triton"
    write_model(models_dir, "swapped", {1: affine(2)})
    (models_dir / "digits" / "1").mkdir(parents=True)
    shutil.copy(DIGITS / "digits.onnx", models_dir / "digits" / "1" / "model.onnx")
    shutil.copy(DIGITS / "triton-config" / "digits" / "cpu.pbtxt", models_dir / "digits" / "config.pbtxt")
    return models_dir


@pytest.fixture
def client(triton_container):
    with connect(triton_container.grpc_address) as client:
        yield client


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A Triton with a token, over one model that it can serve and one that it cannot."""
    models_dir = tmp_path_factory.mktemp("closed") / "triton"
    write_model(models_dir, "good", {1: affine(3)})
    (write_model(models_dir, "torn") / "1" / "model.onnx").write_bytes(b"no graph")
    with TritonContainer(models_dir, image=CPU_IMAGE, token=TOKEN, require_models=False) as triton:
        yield triton


def asked(client, name, value=1.0):
    return float(client.infer(name, {"x": np.full((1, 3), value, np.float32)}, timeout=10)["y"][0, 0])


def test_digits_answers_as_onnxruntime_does_in_process(client):
    images = np.array(json.loads((DIGITS / "seven.json").read_text())["image"], np.float32)
    images = np.concatenate([images, np.flip(images, 1), images / 2])
    served = client.infer("digits", {"image": images}, timeout=10)
    here = onnxruntime.InferenceSession(DIGITS / "digits.onnx").run(["digit", "probabilities"], {"image": images})
    np.testing.assert_array_equal(served["digit"], here[0])
    np.testing.assert_array_equal(served["probabilities"], here[1])
    assert served["digit"][0] == 7


def test_a_model_is_unloaded_and_loaded_again(client):
    unload_model(client, "digits")
    assert [row.state for row in client.index() if row.name == "digits"] == ["UNAVAILABLE"]
    load_model(client, "digits")
    assert [row.state for row in client.index() if row.name == "digits"] == ["READY"]


def test_a_newer_version_takes_over_without_a_restart(client, triton_models_dir, tmp_path):
    assert asked(client, "swapped") == 2
    newer = write_model(tmp_path, "swapped", {2: affine(5)})
    (newer / "2").rename(triton_models_dir / "swapped" / "2")
    load_model(client, "swapped")
    assert asked(client, "swapped") == 5


def test_a_model_that_cannot_be_loaded_gives_its_reason_and_leaves_the_others_serving(client, triton_models_dir):
    (write_model(triton_models_dir, "broken") / "1" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(LoadError, match="Load model from /models/broken"):
        load_model(client, "broken")
    assert asked(client, "swapped") > 0
    shutil.rmtree(triton_models_dir / "broken")


def test_a_restart_keeps_what_was_loaded(triton_container, triton_models_dir):
    write_model(triton_models_dir, "added_later", {1: affine(7)})
    with connect(triton_container.grpc_address) as client:
        load_model(client, "added_later")
    triton_container.get_wrapped_container().restart()
    with connect(triton_container.grpc_address) as client:
        for _ in Deadline.after(60).polls():
            try:
                assert asked(client, "added_later") == 7
            except TritonOpsError:
                continue
            break
        else:
            pytest.fail("it did not come back")


def test_one_bad_model_does_not_stop_the_rest(closed):
    with connect(closed.grpc_address, token=TOKEN) as client:
        states = {row.name: (row.state, row.reason) for row in client.index()}
        assert asked(client, "good") == 3
    assert states["good"] == ("READY", None)
    assert states["torn"][0] == "UNAVAILABLE"
    assert "Load model from /models/torn" in str(states["torn"][1])


def test_the_right_token_opens_control(closed):
    with connect(closed.grpc_address, token=TOKEN) as client:
        load_model(client, "good")


@pytest.mark.parametrize("token", [None, "another"])
def test_without_the_token_control_is_refused_and_inference_is_not(closed, token):
    with connect(closed.grpc_address, token=token) as client:
        for call in (client.index, lambda: client.load("good", timeout=10), lambda: client.config("good")):
            with pytest.raises(TokenRefusedError):
                call()
        assert asked(client, "good") == 3


def test_nobody_may_use_shared_memory_not_even_with_the_token(closed):
    headers = {"triton-grpc-protocol-triton-token": TOKEN}
    with (
        InferenceServerClient(closed.grpc_address) as client,
        pytest.raises(InferenceServerException, match="restrict"),
    ):
        client.get_system_shared_memory_status(headers=headers)


def test_a_container_killed_in_mid_load_ends_the_load_with_an_error(tmp_path):
    models_dir = tmp_path / "triton"
    write_model(models_dir, "good")
    with TritonContainer(models_dir, image=CPU_IMAGE) as triton, connect(triton.grpc_address) as client:
        write_slow_model(models_dir, "slow")
        failures: list[TritonOpsError] = []

        def load():
            with connect(triton.grpc_address) as other, pytest.raises(TritonOpsError) as raised:
                load_model(other, "slow", timeout=60)
            failures.append(raised.value)

        loading = threading.Thread(target=load)
        loading.start()
        for _ in Deadline.after(30).polls():
            if any(row.name == "slow" and row.state == "LOADING" for row in client.index()):
                break
        triton.get_wrapped_container().kill()
        loading.join(timeout=30)
    assert failures
    assert isinstance(failures[0], ServerDiedError)
    assert failures[0].exit_code == 1


def write_slow_model(models_dir, name):
    """A Python-backend model that is not done loading before the test is."""
    write_python_model(
        models_dir,
        name,
        "import time\nclass TritonPythonModel:\n    def initialize(self, args):\n        time.sleep(600)\n",
    )


def write_python_model(models_dir, name, code):
    version = models_dir / name / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(code)
    tensor = '[{ name: "t" data_type: TYPE_FP32 dims: [ 1 ] }]'
    (models_dir / name / "config.pbtxt").write_text(f'backend: "python"\ninput {tensor}\noutput {tensor}\n')


def test_a_model_that_fails_at_the_start_fails_the_test_with_the_reason_and_the_log(tmp_path):
    (write_model(tmp_path / "triton", "torn") / "1" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ServiceError, match=r"(?s)torn: .*Load model from /models/torn.*Its log ends:.*Started GRPC"):
        TritonContainer(tmp_path / "triton", image=CPU_IMAGE).start()
    mounted = f"volume={tmp_path / 'triton'}"
    assert Docker(tmp_path).output(["docker", "ps", "--all", "--quiet", "--filter", mounted]) == ""


def test_an_image_that_is_not_here_is_named(tmp_path):
    with pytest.raises(ImagePullError, match="localhost/no-such-image"):
        TritonContainer(tmp_path, image="localhost/no-such-image").start()


def containers_over(folder):
    return Docker(folder).output(["docker", "ps", "--all", "--quiet", "--filter", f"volume={folder}"]).split()


@pytest.mark.parametrize("name", ["missing", "a file"])
def test_a_models_folder_that_is_none_is_an_error_and_is_not_made(tmp_path, name):
    (tmp_path / "a file").write_text("")
    with pytest.raises(InputError, match=f"the model repository {tmp_path}/{name} ") as raised:
        TritonContainer(tmp_path / name, image=CPU_IMAGE).start()
    assert "<model>/config.pbtxt" in str(raised.value.hint)
    assert not (tmp_path / "missing").exists()


def test_a_link_that_leads_out_of_the_models_folder_is_named_before_the_start(tmp_path):
    write_model(tmp_path / "elsewhere", "linked")
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton" / "linked").symlink_to(tmp_path / "elsewhere" / "linked")
    with pytest.raises(InputError, match="linked -> "):
        TritonContainer(tmp_path / "triton", image=CPU_IMAGE).start()


def test_a_model_that_would_keep_triton_from_starting_is_named_before_the_start(tmp_path):
    write_python_model(tmp_path, "gone", "")
    (tmp_path / "gone" / "1" / "model.py").unlink()
    with pytest.raises(InputError, match=r"the model gone would keep Triton from starting: .*model\.py is missing"):
        TritonContainer(tmp_path, image=CPU_IMAGE).start()


def test_a_model_that_keeps_triton_from_starting_is_named(tmp_path):
    write_slow_model(tmp_path, "slow")
    with pytest.raises(ServiceError, match="it was not ready after 15 s, and was loading slow"):
        TritonContainer(tmp_path, image=CPU_IMAGE, timeout=15).start()


def test_a_models_folder_without_models_is_a_warning(tmp_path):
    with pytest.warns(UserWarning, match=f"{tmp_path} has no models"), TritonContainer(tmp_path, image=CPU_IMAGE):
        pass


def test_a_second_start_leaves_one_container(tmp_path):
    write_model(tmp_path, "good")
    with TritonContainer(tmp_path, image=CPU_IMAGE).start() as triton:
        assert len(containers_over(tmp_path)) == 1
        first = triton.get_container_id()
        triton.get_wrapped_container().kill()
        assert triton.start().get_container_id() != first
        assert len(containers_over(tmp_path)) == 1
    assert containers_over(tmp_path) == []
    triton.stop()


def test_a_container_that_somebody_else_removed_is_no_error_at_the_end(tmp_path):
    write_model(tmp_path, "good")
    with TritonContainer(tmp_path, image=CPU_IMAGE) as triton:
        triton.get_wrapped_container().remove(force=True)


def test_a_stub_that_was_killed_for_memory_is_named_with_the_limit(tmp_path):
    write_model(tmp_path, "good")
    model = (
        "class TritonPythonModel:\n    def initialize(self, args):\n        self.all = bytearray(b'x') * (1 << 30)\n"
    )
    write_python_model(tmp_path, "hungry", model)
    with pytest.raises(
        ServiceError, match=r"hungry: .*Stub process(?s:.*)for memory: its limit is 400 MiB; mem_limit="
    ):
        TritonContainer(tmp_path, image=CPU_IMAGE, mem_limit="400m", memswap_limit="400m").start()
    assert containers_over(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mem_limt": "1g"}, InputError, "mem_limt"),
        ({"network": "host"}, InputError, "the host's network is refused"),
        ({"network_mode": "host"}, InputError, "the host's network is refused"),
        ({"network": "no-such-network"}, DockerError, "no-such-network"),
        ({"bind": "203.0.113.9"}, DockerError, "203.0.113.9"),
        ({"bind": "localhost"}, InputError, "bind: expected an IP address, got 'localhost'"),
        ({"token": "a b"}, InputError, "token: expected printable ASCII"),
        ({"mem_limit": "lots"}, InputError, "lots"),
        ({"image": ""}, InputError, "a container of '' could not be started"),
    ],
)
def test_an_option_that_is_wrong_is_named_and_nothing_is_left(tmp_path, options, error, message):
    write_model(tmp_path, "good")
    with pytest.raises(error, match=message):
        TritonContainer(tmp_path, **{"image": CPU_IMAGE, **options}).start()
    assert containers_over(tmp_path) == []


def test_bind_memory_environment_and_network_reach_the_container(tmp_path):
    write_model(tmp_path, "good", {1: affine(3)})
    with Network() as network:
        options: dict[str, Any] = {"bind": "127.0.0.2", "mem_limit": "1g", "env": {"A": "1"}, "token": TOKEN}
        with TritonContainer(tmp_path, image=CPU_IMAGE, network=network, **options) as triton:
            found = triton.get_wrapped_container().attrs
            with connect(triton.grpc_address, token=TOKEN) as client:
                assert asked(client, "good") == 3
        with TritonContainer(tmp_path, image=CPU_IMAGE, network=network.name) as triton:
            assert network.name in triton.get_wrapped_container().attrs["NetworkSettings"]["Networks"]
    assert {binding["HostIp"] for ports in found["NetworkSettings"]["Ports"].values() for binding in ports} == {
        "127.0.0.2"
    }
    assert (found["HostConfig"]["Memory"], "A=1" in found["Config"]["Env"]) == (1 << 30, True)
    assert network.name in found["NetworkSettings"]["Networks"]


def test_a_clean_up_container_that_cannot_be_had_is_named_with_the_switch(tmp_path, monkeypatch):
    monkeypatch.setattr(testcontainers_config, "_ryuk_disabled", False)
    monkeypatch.setattr(testcontainers_config, "ryuk_image", "localhost/no-such-ryuk:1")
    write_model(tmp_path, "good")
    with pytest.raises(DockerError, match="clean-up container of Testcontainers, localhost/no-such-ryuk:1,") as raised:
        TritonContainer(tmp_path, image=CPU_IMAGE).start()
    assert "TESTCONTAINERS_RYUK_DISABLED=true" in str(raised.value.hint)
    assert "TESTCONTAINERS_RYUK_DISABLED=true" in raised.value.__notes__[0]
    assert containers_over(tmp_path) == []


@pytest.mark.filterwarnings("ignore:unclosed <socket", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_an_engine_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(EngineUnreachableError):
        TritonContainer(tmp_path, image=CPU_IMAGE)
    gc.collect()  # Docker's Python client leaves its socket to the collector: here, where that is no error
