"""Tensors between Triton and a model of the Python backend: every type, in every form that loses bytes with NumPy 2."""

import concurrent.futures
import shutil
from pathlib import Path

import numpy as np
import pytest

from tritonops.triton.client.client import connect

STRINGS = [["æ".encode(), b"", b"\xff\0x"], [b"a" * 300, b"\0", b"last"]]
ARRAYS = {
    "BOOL": np.array([[True, False, True], [False, False, True]]),
    "STRING": np.array(STRINGS, object),
    **{f"INT{8 * size}": np.array([[1, -2, 3], [0, 100, -7]], f"i{size}") for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": np.array([[1, 2, 3], [0, 200, 7]], f"u{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.array([[1.5, -2, 3], [0, 1e4, -7]], f"f{size}") for size in (2, 4, 8)},
}
KINDS = ("plain", "transposed", "reversed", "read-only", "dlpack")
INSTANCES = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory, start_module_triton):
    repository = tmp_path_factory.mktemp("python") / "triton"
    (repository / "echo" / "1").mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("echo_model.py"), repository / "echo" / "1" / "model.py")
    tensors = [f'name: "{{}}_{name}" data_type: TYPE_{name} dims: [-1, -1]' for name in ARRAYS]
    inputs = ", ".join(f"{{ {tensor.format('x')} optional: true }}" for tensor in tensors)
    outputs = ", ".join(f"{{ {tensor.format('y')} }}" for tensor in tensors)
    (repository / "echo" / "config.pbtxt").write_text(
        f'backend: "python"\ninput [{{ name: "kind" data_type: TYPE_STRING dims: [1] }}, {inputs}]\n'
        f"output [{outputs}]\ninstance_group [{{ count: {INSTANCES} kind: KIND_CPU }}]\n"
    )
    return start_module_triton(repository)


@pytest.fixture(scope="module")
def client(server):
    with connect(server.grpc_url) as client:
        yield client


def echo(client, kind, arrays):
    inputs = {"kind": np.array([kind.encode()], object), **{f"x_{name}": array for name, array in arrays.items()}}
    return {name[2:]: array for name, array in client.infer("echo", inputs, timeout=20).items()}


def assert_same(answers, arrays):
    assert {*answers} == {*arrays}
    for name, array in arrays.items():
        assert answers[name].dtype == array.dtype
        np.testing.assert_array_equal(answers[name], array)


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_comes_back_as_it_went_in(client, kind):
    arrays = {name: array for name, array in ARRAYS.items() if (name, kind) != ("STRING", "dlpack")}
    assert_same(echo(client, kind, arrays), arrays)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0), (1, 1)])
def test_tensors_of_no_element_and_of_one_keep_their_shape(client, shape):
    arrays = {name: array[: shape[0], : shape[1]].copy() for name, array in ARRAYS.items()}
    assert_same(echo(client, "plain", arrays), arrays)


def test_requests_at_once_do_not_mix_their_tensors(client):
    def ask(number):
        numbers, strings = np.full((9, 999), number, np.float32), np.full((9, 99), b"%d" % number, object)
        assert_same(echo(client, "plain", arrays := {"FP32": numbers, "STRING": strings}), arrays)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(200)))


def memory(server):
    """The kilobytes of the processes that run the model."""
    statuses = [path.read_text() for path in Path(f"/proc/{server.process.pid}/task").glob("*/children")]
    children = {pid for text in statuses for pid in text.split()}
    assert len(children) == INSTANCES
    return sum(int(field(pid, "RssAnon")) for pid in children)


def field(pid, name):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(name))


def test_answered_requests_leave_no_memory_behind(client, server):
    arrays = {"FP32": np.ones((8, 16_384), np.float32), "STRING": np.full((1, 512), b"x" * 1000, object)}
    for kind in ("plain", "transposed"):
        for _ in range(20):
            echo(client, kind, arrays)
    before = memory(server)
    for _ in range(100):
        echo(client, "transposed", arrays)
    assert memory(server) - before < 20_000, "each request has a megabyte"


def test_nothing_is_written_to_the_log_for_a_request(client, server):
    before = server.log.read_text()
    assert_same(echo(client, "plain", ARRAYS), ARRAYS)
    assert server.log.read_text() == before
