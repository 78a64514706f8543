"""What the backend serves, and what it refuses: one Triton over a repository with a model for each case."""

import concurrent.futures
import contextlib
import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.onnx_models import CONFIG_TYPES, Signature, affine, external_weights, model, write_model
from tests.processes import wait_for
from tritonops.triton.client.client import connect

ALL_TYPES: dict[int, Any] = {
    TensorProto.FLOAT: np.array([[1.5, -2.25]], np.float32),
    TensorProto.DOUBLE: np.array([[1.5, -1e300]], np.float64),
    TensorProto.FLOAT16: np.array([[1.5, -65504]], np.float16),
    TensorProto.INT8: np.array([[-128, 127]], np.int8),
    TensorProto.INT16: np.array([[-(2**15), 2**15 - 1]], np.int16),
    TensorProto.INT32: np.array([[-(2**31), 2**31 - 1]], np.int32),
    TensorProto.INT64: np.array([[-(2**63), 2**63 - 1]], np.int64),
    TensorProto.UINT8: np.array([[0, 255]], np.uint8),
    TensorProto.UINT16: np.array([[0, 2**16 - 1]], np.uint16),
    TensorProto.UINT32: np.array([[0, 2**32 - 1]], np.uint32),
    TensorProto.UINT64: np.array([[0, 2**64 - 1]], np.uint64),
    TensorProto.BOOL: np.array([[True, False]]),
    TensorProto.STRING: np.array([["Brød og smør".encode(), "日本語 \N{BREAD}".encode()]], object),
}


def all_types():
    inputs: Signature = {f"x_{type_}": (type_, ["batch", 2]) for type_ in ALL_TYPES}
    outputs: Signature = {f"y_{type_}": (type_, ["batch", 2]) for type_ in ALL_TYPES}
    nodes = [helper.make_node("Identity", [f"x_{type_}"], [f"y_{type_}"]) for type_ in ALL_TYPES]
    return model(nodes, inputs, outputs)


def beside_bfloat16():
    types = {"b": TensorProto.BFLOAT16, "flag": TensorProto.BOOL}
    inputs: Signature = {name: (type_, ["batch", 2]) for name, type_ in types.items()}
    outputs: Signature = {f"{name}_out": value for name, value in inputs.items()}
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in types]
    return model(nodes, inputs, outputs)


def fixed_batch():
    shape = {"y": (TensorProto.FLOAT, [2, 3])}
    return model([helper.make_node("Neg", ["x"], ["y"])], {"x": shape["y"]}, shape)


def scalar_sum():
    """y is a scalar: the sum of x times the scalar k."""
    nodes = [helper.make_node("Mul", ["x", "k"], ["m"]), helper.make_node("ReduceSum", ["m"], ["y"], keepdims=0)]
    inputs = {"x": (TensorProto.FLOAT, ["n"]), "k": (TensorProto.FLOAT, [])}
    return model(nodes, inputs, {"y": (TensorProto.FLOAT, [])})


def one_number_each():
    """y = -x, where each of a batch is a number without dimensions of its own."""
    shape = {"y": (TensorProto.FLOAT, ["batch"])}
    return model([helper.make_node("Neg", ["x"], ["y"])], {"x": shape["y"]}, shape)


def with_default():
    """y = x * k, where k is 5 unless it is given."""
    inputs = {"x": (TensorProto.FLOAT, [3]), "k": (TensorProto.FLOAT, [1])}
    default = helper.make_tensor("k", TensorProto.FLOAT, [1], [5])
    return model([helper.make_node("Mul", ["x", "k"], ["y"])], inputs, {"y": (TensorProto.FLOAT, [3])}, [default])


def sequence_of_tensors():
    graph = helper.make_graph(
        [helper.make_node("SequenceConstruct", ["x"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


DYNAMIC = "dynamic_batching { preferred_batch_size: [8] max_queue_delay_microseconds: 500000 }"
COUNT_2 = "instance_group [{ count: 2 kind: KIND_CPU }]"


def threads(count):
    return f'parameters {{ key: "intra_op_thread_count" value: {{ string_value: "{count}" }} }}'


def write_served(repository):
    write_model(repository, "all_types", {1: all_types()})
    write_model(repository, "bfloat16", {1: beside_bfloat16()})
    write_model(repository, "fixed", {1: fixed_batch()}, max_batch_size=0)
    write_model(repository, "batched", {1: affine(2, 1, width="n")}, extra=DYNAMIC)
    write_model(repository, "two", {1: affine(2, 1)}, extra=COUNT_2)
    write_config(repository, "silent", affine(), 'input [{ name: "x" data_type: TYPE_FP32 dims: [3] }]')
    write_model(repository, "threads_1", extra=threads(1))
    write_model(repository, "threads_4", extra=threads(4))
    write_config(
        repository,
        "scalar",
        scalar_sum(),
        'input [{ name: "x" data_type: TYPE_FP32 dims: [-1] }, '
        '{ name: "k" data_type: TYPE_FP32 dims: [1] }] output [{ name: "y" data_type: TYPE_FP32 dims: [1] }]',
        max_batch_size=0,
    )
    number = "data_type: TYPE_FP32 dims: [1] reshape { shape: [] }"
    write_config(
        repository, "reshaped", one_number_each(), f'input [{{ name: "x" {number} }}] output [{{ name: "y" {number} }}]'
    )
    optional = 'input [{ name: "k" data_type: TYPE_FP32 dims: [1] optional: true }]'
    write_config(repository, "optional", with_default(), PLAIN + optional, max_batch_size=0)
    write_model(repository, "external")
    (repository / "external/1/model.onnx").unlink()
    external_weights([1, 10, 100], repository / "external/1/model.onnx")


def write_config(repository, name, made, config, *, max_batch_size=8):
    folder = write_model(repository, name, {1: affine()})
    onnx.save_model(made, folder / "1" / "model.onnx")
    config = f'backend: "onnxruntime"\nmax_batch_size: {max_batch_size}\n{config}'
    (folder / "config.pbtxt").write_text(config)


def config_of(field, **other):
    """The configuration of an affine model, but for one tensor's name, type or dims."""
    tensors = {"input": {"name": "x"}, "output": {"name": "y"}}
    tensors[field] |= other
    return "\n".join(
        f"{kind} [{{ name: {json.dumps(tensor['name'])} data_type: {tensor.get('type', 'TYPE_FP32')} "
        f"dims: {tensor.get('dims', [3])} }}]"
        for kind, tensor in tensors.items()
    )


PLAIN = config_of("input")
REFUSED = {
    "other_input": (config_of("input", name="image"), "unexpected inference input 'image', allowed inputs are: x"),
    "other_output": (config_of("output", name="logits"), "inference output 'logits', allowed outputs are: y"),
    "more_inputs": (
        PLAIN + 'input [{ name: "mask" data_type: TYPE_FP32 dims: [3] }]',
        "configuration expects 2 inputs, model provides 1: x",
    ),
    "other_type": (
        config_of("input", type="TYPE_INT64"),
        "configuration expects datatype TYPE_INT64 for input 'x', model provides TYPE_FP32",
    ),
    "other_width": (
        config_of("output", dims=[4]),
        "tensor 'y': the model expects 2 dimensions (shape [-1,3]) but the model configuration specifies "
        "2 dimensions (shape [-1,4], the first of them for the batch, as max_batch_size > 0)",
    ),
    "more_dims": (config_of("input", dims=[1, 3]), "tensor 'x': the model expects 2 dimensions (shape [-1,3]) but"),
    "open_dim": (config_of("input", dims=[-1]), "configuration specifies 2 dimensions (shape [-1,-1], the first"),
    "bad_threads": (PLAIN + threads("many"), "'intra_op_thread_count' must be a whole number, not 'many'"),
    "optional_batch": (
        PLAIN.replace('"x"', '"x" optional: true') + 'input [{ name: "y" data_type: TYPE_FP32 dims: [3] }]',
        "optional input 'x' is not supported for models that support batching",
    ),
    "ragged": (PLAIN.replace('"x"', '"x" allow_ragged_batch: true'), "allow_ragged_batch is not supported"),
    "sequences": (PLAIN + "sequence_batching {}", "sequence batching is not supported by the embedded Triton"),
    "decoupled": (
        PLAIN + "model_transaction_policy { decoupled: true }",
        "decoupled is not supported by the embedded Triton",
    ),
}


def write_refused(repository):
    for name, (config, _) in REFUSED.items():
        write_config(repository, name, affine(), config)
    write_config(repository, "no_batch", fixed_batch(), PLAIN)
    write_config(repository, "sequence", sequence_of_tensors(), PLAIN)
    write_model(repository, "no_graph")
    (repository / "no_graph/1/model.onnx").write_bytes(b"<html>404</html>")


@pytest.fixture(scope="module")
def server(tmp_path_factory, start_module_triton):
    repository = tmp_path_factory.mktemp("backend") / "triton"
    write_served(repository)
    write_refused(repository)
    return start_module_triton(repository)


@pytest.fixture(scope="module")
def client(server):
    with connect(server.grpc_url) as client:
        yield client


@pytest.fixture(scope="module")
def reasons(client):
    return {status.name: status.reason for status in client.index()}


def infer(client, name, **inputs):
    return client.infer(name, inputs, timeout=20)


@pytest.mark.parametrize("rows", [1, 5])
def test_every_type_that_onnx_and_triton_share_comes_back_as_it_went_in(client, rows):
    inputs = {f"x_{type_}": np.repeat(array, rows, axis=0) for type_, array in ALL_TYPES.items()}
    outputs = infer(client, "all_types", **inputs)
    for name, array in inputs.items():
        np.testing.assert_array_equal(outputs[name.replace("x", "y")], array)


def test_bfloat16_comes_back_as_it_went_in(client):
    number, flag = np.array([[-2.5, 3e38]], ml_dtypes.bfloat16), np.array([[True, False]])
    outputs = infer(client, "bfloat16", b=number, flag=flag)
    np.testing.assert_array_equal(outputs["b_out"], number)
    np.testing.assert_array_equal(outputs["flag_out"], flag)


def test_all_types_of_a_configuration_are_covered():
    assert {*ALL_TYPES, TensorProto.BFLOAT16} == set(CONFIG_TYPES)


def test_a_string_that_is_not_utf8_is_an_error_of_its_request(client):
    inputs = {f"x_{type_}": array for type_, array in ALL_TYPES.items()}
    inputs[f"x_{TensorProto.STRING}"] = np.array([[b"\xff", b"ok"]], object)
    with pytest.raises(Exception, match="not UTF-8"):
        infer(client, "all_types", **inputs)


def test_a_model_without_batching_answers(client):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(infer(client, "fixed", x=x)["y"], -x)


def test_a_configuration_without_outputs_is_answered_with_none(client):
    assert infer(client, "silent", x=np.ones((2, 3), np.float32)) == {}


def test_a_graph_with_scalars_answers(client):
    x, k = np.array([1, 2, 3], np.float32), np.array([2], np.float32)
    np.testing.assert_array_equal(infer(client, "scalar", x=x, k=k)["y"], [12])


def test_a_configuration_that_reshapes_is_served(client):
    x = np.array([[1], [2]], np.float32)
    np.testing.assert_array_equal(infer(client, "reshaped", x=x)["y"], -x)


def test_an_input_with_a_default_may_be_left_out(client):
    x = np.array([1, 2, 3], np.float32)
    np.testing.assert_array_equal(infer(client, "optional", x=x)["y"], 5 * x)
    np.testing.assert_array_equal(infer(client, "optional", x=x, k=np.array([2], np.float32))["y"], 2 * x)


def test_a_folder_with_external_weights_is_served(client):
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(infer(client, "external", x=x)["y"], x * [1, 10, 100])


def ask_at_once(client, requests):
    def ask(x):
        with contextlib.suppress(Exception):
            return infer(client, "batched", x=x)["y"]

    with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(ask, requests))


def test_requests_of_a_dynamic_batch_run_together_and_each_gets_its_own_answer(client):
    requests = [np.full((rows, 3), rows, np.float32) for rows in (1, 2, 2, 3)]
    before = client.statistics("batched")[0]
    for x, y in zip(requests, ask_at_once(client, requests), strict=True):
        np.testing.assert_array_equal(y, 2 * x + 1)
    # Triton counts a request a moment after its answer.
    wait_for(lambda: client.statistics("batched")[0].inferences - before.inferences == 8)
    after = client.statistics("batched")[0]
    assert after.executions - before.executions < 4


def test_all_instances_of_a_model_answer(client):
    x = np.ones((1, 3), np.float32)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for answer in pool.map(lambda _: infer(client, "two", x=x)["y"], range(20)):
            np.testing.assert_array_equal(answer, [[3, 3, 3]])


def threads_of(server, model):
    """How many threads the one instance of this model has: a process that the server started."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = dict(
                line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line
            )
            command = (folder / "cmdline").read_text()
            if int(fields["PPid"]) == server.process.pid and f"/{model}/1/model.onnx\0" in command:
                return int(fields["Threads"])
    raise AssertionError(f"no process serves {model}")


def test_the_configuration_says_how_many_threads_an_instance_has(server):
    assert threads_of(server, "threads_4") == threads_of(server, "threads_1") + 3


@pytest.mark.parametrize(("name", "reason"), [(name, reason) for name, (_, reason) in REFUSED.items()])
def test_a_configuration_that_does_not_fit_the_graph_is_refused_with_the_reason(reasons, name, reason):
    assert reason in reasons[name]


def test_batches_of_a_graph_that_takes_none_are_refused(reasons):
    assert "the first dimension must be -1; but shape expected by the model is [2,3]" in reasons["no_batch"]


def test_outputs_that_are_no_tensors_are_refused(reasons):
    assert "unsupported ONNX type 'seq(tensor(float))' for 'y'" in reasons["sequence"]


def test_a_file_that_is_no_graph_is_refused(reasons):
    assert "Protobuf parsing failed" in reasons["no_graph"]
