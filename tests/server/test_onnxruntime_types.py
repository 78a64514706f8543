"""Every type in every form, compared bit by bit with ONNX Runtime run directly.

ONNX Runtime is given the same graph with UINT16 in the place of BF16, which NumPy does not have.
"""

import concurrent.futures

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tests.onnx_models import CONFIG_TYPES, Signature, model, write_model
from tritonops.errors import TritonError
from tritonops.triton.client.client import connect

FLOAT, BFLOAT16, STRING = TensorProto.FLOAT, TensorProto.BFLOAT16, TensorProto.STRING
DYNAMIC = "dynamic_batching { max_queue_delay_microseconds: 2000 }"
FORMS = {"scalar": [], "vector": ["n"], "matrix": ["m", "n"], "batched": ["batch", "n"]}
SHAPES = [
    ("scalar", (1,)),
    *[("vector", (size,)) for size in (0, 1, 5)],
    *[("matrix", shape) for shape in [(2, 3), (0, 3), (3, 0), (0, 0)]],
    *[("batched", shape) for shape in [(1, 3), (8, 2), (3, 0)]],
]
"""The form, and the shape that a client sends: a scalar has the dimensions of the configuration."""


def every_type(shape, *, bfloat16=BFLOAT16):
    """A graph of all types at once; each x comes back as it is, and twice along its last axis."""
    types = {name: bfloat16 if type_ == BFLOAT16 else type_ for type_, name in CONFIG_TYPES.items()}
    nodes = [helper.make_node("Identity", [f"x_{name}"], [f"y_{name}"]) for name in types]
    outputs: Signature = {f"y_{name}": (type_, shape) for name, type_ in types.items()}
    if shape:
        longer = [*shape[:-1], "longer"]
        nodes += [helper.make_node("Concat", [f"x_{name}"] * 2, [f"z_{name}"], axis=-1) for name in types]
        outputs = {**outputs, **{f"z_{name}": (type_, longer) for name, type_ in types.items()}}
    return model(nodes, {f"x_{name}": (type_, shape) for name, type_ in types.items()}, outputs)


def from_scalar():
    """The scalar x as FP32, and the rank that it has in the graph."""
    nodes = [
        helper.make_node("Cast", ["x"], ["number"], to=FLOAT),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Shape", ["shape"], ["rank"]),
    ]
    outputs: Signature = {"number": (FLOAT, []), "rank": (TensorProto.INT64, [1])}
    return model(nodes, {"x": (BFLOAT16, [])}, outputs)


def beside_a_string():
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=FLOAT), helper.make_node("Identity", ["s"], ["t"])]
    return model(nodes, {"x": (BFLOAT16, [2]), "s": (STRING, [2])}, {"y": (FLOAT, [2]), "t": (STRING, [2])})


def scaled(type_):
    """A batch of rows, times one number for all of them."""
    nodes = [helper.make_node("Cast", ["k"], ["by"], to=FLOAT), helper.make_node("Mul", ["x", "by"], ["y"])]
    return model(nodes, {"x": (FLOAT, ["batch", 2]), "k": (type_, [])}, {"y": (FLOAT, ["batch", 2])})


def with_a_scalar_output(type_):
    nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Identity", ["k"], ["number"])]
    inputs: Signature = {"x": (type_, ["batch", 2]), "k": (type_, [])}
    return model(nodes, inputs, {"y": inputs["x"], "number": inputs["k"]})


def output_of_any_shape():
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    made = model(nodes, {"x": (FLOAT, ["n"]), "shape": (TensorProto.INT64, ["r"])}, {"y": (FLOAT, ["any"])})
    made.graph.output[0].type.tensor_type.ClearField("shape")
    return made


@pytest.fixture(scope="module")
def url(tmp_path_factory, start_module_triton):
    models_dir = tmp_path_factory.mktemp("types") / "triton"
    for form, shape in FORMS.items():
        batching = {"max_batch_size": 8, "extra": DYNAMIC} if form == "batched" else {"max_batch_size": 0}
        write_model(models_dir, form, {1: every_type(shape)}, **batching)
    for made in (from_scalar, beside_a_string, output_of_any_shape):
        write_model(models_dir, made.__name__, {1: made()}, max_batch_size=0)
    for type_ in (FLOAT, BFLOAT16, STRING):
        write_model(models_dir, f"scalar_output_{type_}", {1: with_a_scalar_output(type_)})
    for type_ in (FLOAT, BFLOAT16):
        write_model(models_dir, f"scaled_{type_}", {1: scaled(type_)}, extra=DYNAMIC)
    return start_module_triton(models_dir).grpc_url


@pytest.fixture
def infer(url):
    with connect(url) as client:
        yield lambda name, **inputs: client.infer(name, inputs, timeout=30)


def samples(shape, seed=0):
    """Any bits for each type, so also NaN with a payload; strings of several lengths."""
    random = np.random.default_rng(seed)
    count = int(np.prod(shape))

    def sample(type_):
        if type_ == STRING:
            texts = ["", "Brød", "日本", "a" * 300]
            return np.array([texts[i % 4].encode() for i in range(count)], object)
        if type_ == TensorProto.BOOL:
            return random.integers(0, 2, count).astype(bool)
        dtype = np.dtype(ml_dtypes.bfloat16) if type_ == BFLOAT16 else helper.tensor_dtype_to_np_dtype(type_)
        return np.frombuffer(random.bytes(count * dtype.itemsize), dtype)

    return {f"x_{name}": sample(type_).reshape(shape) for type_, name in CONFIG_TYPES.items()}


def run_directly(session, inputs, *, scalar):
    feeds = {name: array.view(np.uint16) if name == "x_TYPE_BF16" else array for name, array in inputs.items()}
    feeds["x_TYPE_STRING"] = np.vectorize(bytes.decode, [object])(feeds["x_TYPE_STRING"])
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(names, {name: array.reshape(()) if scalar else array for name, array in feeds.items()})
    return dict(zip(names, outputs, strict=True))


def bits(array):
    if array.dtype == object:
        return [item if isinstance(item, bytes) else item.encode() for item in array.ravel()]
    return np.ascontiguousarray(array).tobytes()


def assert_same(given, direct, shape):
    assert {*given} == {*direct}
    for name, expected in direct.items():
        assert bits(given[name]) == bits(np.asarray(expected)), name
        assert given[name].shape == (np.shape(expected) or shape), name


@pytest.mark.parametrize(("form", "shape"), SHAPES)
def test_each_type_answers_what_onnx_runtime_answers(infer, form, shape):
    session = onnxruntime.InferenceSession(every_type(FORMS[form], bfloat16=TensorProto.UINT16).SerializeToString())
    inputs = samples(shape)
    assert_same(infer(form, **inputs), run_directly(session, inputs, scalar=form == "scalar"), shape)


def test_batches_of_all_types_are_joined_and_each_client_gets_its_own_rows(url):
    session = onnxruntime.InferenceSession(every_type(["batch", "n"], bfloat16=TensorProto.UINT16).SerializeToString())

    def ask(number):
        with connect(url) as client:
            for seed in range(10 * number, 10 * number + 10):
                inputs = samples((seed % 3 + 1, 2), seed)
                given = client.infer("batched", inputs, timeout=30)
                assert_same(given, run_directly(session, inputs, scalar=False), ())

    with connect(url) as client:
        before = client.statistics("batched")[0]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(8)))
        after = client.statistics("batched")[0]
    assert after.executions - before.executions < 80


def test_a_bfloat16_scalar_has_no_dimensions_in_the_graph_and_those_of_the_configuration_outside(infer):
    outputs = infer("from_scalar", x=np.array([2.5], ml_dtypes.bfloat16))
    assert {name: array.tolist() for name, array in outputs.items()} == {"number": [2.5], "rank": [0]}


def test_bfloat16_and_strings_may_be_inputs_of_one_model(infer):
    x, s = np.array([1, 2], ml_dtypes.bfloat16), np.array([b"a", b"b"], object)
    outputs = infer("beside_a_string", x=x, s=s)
    assert {name: array.tolist() for name, array in outputs.items()} == {"y": [1, 2], "t": [b"a", b"b"]}
    with pytest.raises(TritonError, match="input 's': a string is not UTF-8"):
        infer("beside_a_string", x=x, s=np.array([b"\xff", b""], object))


@pytest.mark.parametrize("shape", [(1, 4), (2, 2), (4,)])
def test_an_output_that_has_no_shape_in_the_graph_keeps_its_own(infer, shape):
    x = np.arange(4, dtype=np.float32)
    np.testing.assert_array_equal(infer("output_of_any_shape", x=x, shape=np.array(shape))["y"], x.reshape(shape))


@pytest.mark.parametrize("type_", [FLOAT, BFLOAT16])
def test_a_batch_has_one_value_of_a_scalar_input(infer, type_):
    x = np.array([[1, 2], [3, 4]], np.float32)
    k = np.array([[2], [2]], np.float32 if type_ == FLOAT else ml_dtypes.bfloat16)
    np.testing.assert_array_equal(infer(f"scaled_{type_}", x=x, k=k)["y"], 2 * x)
    k[1] = 3
    with pytest.raises(TritonError, match="input 'k' is a scalar in the graph, and has 2 values in this batch"):
        infer(f"scaled_{type_}", x=x, k=k)


@pytest.mark.parametrize("type_", [FLOAT, BFLOAT16, STRING])
def test_a_scalar_output_is_no_row_of_a_batch_whatever_its_type(infer, type_):
    array = np.array([[1, 2]], np.float32)
    array = {BFLOAT16: array.astype(ml_dtypes.bfloat16), STRING: array.astype(bytes).astype(object)}.get(type_, array)
    with pytest.raises(TritonError, match=r"output 'number' has the shape \[\] for a batch of 1"):
        infer(f"scalar_output_{type_}", x=array, k=array[:, :1])
