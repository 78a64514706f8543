"""The small CPU image in containers: what it serves, refuses and survives."""

import gc
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from tests.onnx_models import affine, write_model
from tritonops.compose.engine import Docker
from tritonops.compose.image import CPU_IMAGE
from tritonops.errors import (
    EngineUnreachableError,
    ImagePullError,
    LoadError,
    ServiceError,
    TokenRefusedError,
    TritonOpsError,
)
from tritonops.testing import TritonContainer
from tritonops.triton import control
from tritonops.triton.client import connect
from tritonops.triton.waiting import Deadline

pytestmark = pytest.mark.docker
DIGITS = Path(__file__).parents[2] / "examples" / "digits"
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
    control.unload(client, "digits")
    assert [row.state for row in client.index() if row.name == "digits"] == ["UNAVAILABLE"]
    control.load(client, "digits")
    assert [row.state for row in client.index() if row.name == "digits"] == ["READY"]


def test_a_newer_version_takes_over_without_a_restart(client, triton_models_dir, tmp_path):
    assert asked(client, "swapped") == 2
    newer = write_model(tmp_path, "swapped", {2: affine(5)})
    (newer / "2").rename(triton_models_dir / "swapped" / "2")
    control.load(client, "swapped")
    assert asked(client, "swapped") == 5


def test_a_model_that_cannot_be_loaded_gives_its_reason_and_leaves_the_others_serving(client, triton_models_dir):
    (write_model(triton_models_dir, "broken") / "1" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(LoadError, match="Load model from /models/broken"):
        control.load(client, "broken")
    assert asked(client, "swapped") > 0
    shutil.rmtree(triton_models_dir / "broken")


def test_a_restart_keeps_what_was_loaded(triton_container, triton_models_dir):
    write_model(triton_models_dir, "added_later", {1: affine(7)})
    with connect(triton_container.grpc_address) as client:
        control.load(client, "added_later")
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
        control.load(client, "good")


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
                control.load(other, "slow", timeout=60)
            failures.append(raised.value)

        loading = threading.Thread(target=load)
        loading.start()
        for _ in Deadline.after(30).polls():
            if any(row.name == "slow" and row.state == "LOADING" for row in client.index()):
                break
        triton.get_wrapped_container().kill()
        loading.join(timeout=30)
    assert failures
    assert failures[0].exit_code == 3


def write_slow_model(models_dir, name):
    """A Python-backend model that is not done loading before the test is."""
    version = models_dir / name / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(
        "import time\nclass TritonPythonModel:\n    def initialize(self, args):\n        time.sleep(600)\n"
    )
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


@pytest.mark.filterwarnings("ignore:unclosed <socket", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_an_engine_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(EngineUnreachableError):
        TritonContainer(tmp_path, image=CPU_IMAGE)
    gc.collect()  # Docker's Python client leaves its socket to the collector: here, where that is no error
