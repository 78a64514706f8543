"""config.pbtxt rendered from a graph: batches, tensors, options."""

import onnx
import pytest
from onnx import TensorProto, helper

from tests.onnx_models import affine, identity, model
from tritonops.errors import GraphError, InputError
from tritonops.models.configs.batch_trial import PROVED, BatchTrial, try_batches
from tritonops.models.configs.onnx_graph import Graph, GraphTensor
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.configs.rendering import ConfigOptions, render_config, why_not_batched

F = TensorProto.FLOAT


def tensor(*shape, datatype="TYPE_FP32", name="x"):
    return GraphTensor(name, datatype, shape)


def graph(inputs, outputs, optional=()):
    return Graph(8, {"": 17}, tuple(inputs), tuple(optional), tuple(outputs), (), {})


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        ([("batch", 3)], [("batch", 5)], None),
        ([("N", "seq")], [("N", "seq", 3)], None),
        ([("unk__1", 3)], [("unk__2", 4)], None),
        ([("batch",)], [("batch",)], None),
        ([("", 3)], [("batch", 5)], "the first dimension of 'x' has no name"),
        ([("batch", 3)], [("", 5)], "the first dimension of 'y' has no name"),
        ([("samples",)], [("samples",)], "every tensor is a vector, and 'samples' its length"),
        ([(1, 3, 640, 640)], [(1, 5, 8400)], "the first dimension of 'x' is fixed at 1"),
        ([("batch", 3)], [(1, 5)], "the first dimension of 'y' is fixed at 1"),
        ([()], [("batch", 4)], "'x' is a scalar"),
        ([], [], "it has no input"),
    ],
)
def test_a_graph_may_take_batches_where_every_first_dimension_varies_under_a_name(inputs, outputs, reason):
    made = graph([tensor(*shape) for shape in inputs], [tensor(*shape, name="y") for shape in outputs])
    found = why_not_batched(made)
    assert found is None if reason is None else reason in (found or "")


def softmax_over_rows():
    node = helper.make_node("Softmax", ["x"], ["y"], axis=0)
    return model([node], {"x": (F, ["seq_len", 3])}, {"y": (F, ["seq_len", 3])})


def other_names():
    return model([helper.make_node("Relu", ["x"], ["y"])], {"x": (F, ["unk__1", 3])}, {"y": (F, ["unk__2", 3])})


def rows_chosen():
    """The rows of x that are not all zero, under a name of their own: not the batch, for one row in two."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], axes=[1], keepdims=0),
        helper.make_node("Greater", ["most", "limit"], ["keep"]),
        helper.make_node("Compress", ["x", "keep"], ["y"], axis=0),
    ]
    limit = helper.make_tensor("limit", F, [], [0.7])
    return model(nodes, {"x": (F, ["batch", 3])}, {"y": (F, ["chosen", 3])}, [limit])


@pytest.mark.parametrize(
    ("made", "verdict", "reason"),
    [
        (affine(2, 1), "proved", ""),
        (identity(TensorProto.STRING), "proved", ""),
        (identity(TensorProto.INT8), "proved", ""),
        (other_names(), "proved", ""),
        (softmax_over_rows(), "refuted", "output 'y' is another for a row in company"),
        (rows_chosen(), "refuted", "output 'y' has the shape"),
        (identity(TensorProto.BFLOAT16), "unknown", "input 'x' is of type tensor(bfloat16)"),
    ],
)
def test_a_trial_tells_batches_from_what_only_looks_like_them(tmp_path, made, verdict, reason):
    onnx.save_model(made, tmp_path / "model.onnx")
    found = try_batches(tmp_path / "model.onnx")
    assert found.verdict == verdict
    assert reason in found.reason


def test_a_trial_that_takes_too_long_or_ends_badly_proves_nothing(tmp_path):
    onnx.save_model(affine(), tmp_path / "model.onnx")
    assert try_batches(tmp_path / "model.onnx", timeout=0.01) == BatchTrial(
        "unknown", "the trial took longer than 0.01 s"
    )
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    assert try_batches(tmp_path / "model.onnx").verdict == "unknown"


REFUTED = BatchTrial("refuted", "output 'y' is another for a row in company: rows depend on each other")


UNTRIED = BatchTrial("unknown", "onnxruntime is not installed")


@pytest.mark.parametrize(
    ("names", "trial", "options", "expected"),
    [
        (("batch", "batch"), PROVED, ConfigOptions(), 8),
        (("batch", "batch"), UNTRIED, ConfigOptions(), 8),
        (("seq_len", "seq_len"), REFUTED, ConfigOptions(), 0),
        (("unk__1", "unk__2"), PROVED, ConfigOptions(), 8),
        (("unk__1", "unk__2"), UNTRIED, ConfigOptions(), 0),
        (("unk__1", "unk__2"), UNTRIED, ConfigOptions(max_batch_size=4), 4),
        (("batch", "batch"), PROVED, ConfigOptions(max_batch_size=0), 0),
        (("seq_len", "seq_len"), REFUTED, ConfigOptions(max_batch_size=4), "takes no batches: output 'y' is another"),
        (("batch", ""), PROVED, ConfigOptions(max_batch_size=4), "the first dimension of 'y' has no name"),
        (
            ("batch", "batch"),
            UNTRIED,
            ConfigOptions(dynamic_batching=True),
            "was not proved to give each request its own answer",
        ),
        (("seq_len", "seq_len"), REFUTED, ConfigOptions(dynamic_batching=True), "takes no batches"),
    ],
)
def test_batches_are_what_is_proved_and_a_wish_against_it_is_refused(names, trial, options, expected):
    made = graph([tensor(names[0], 3)], [tensor(names[1], 3, name="y")])
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            render_config(made, "cpu", options, trial=trial)
    else:
        assert parse_config(render_config(made, "cpu", options, trial=trial)).max_batch_size == expected


def test_the_config_leaves_the_batch_out_of_the_dims():
    made = graph([tensor("n", 3, "h", "w")], [tensor("n", 6, name="y"), tensor("n", name="z")])
    config = parse_config(render_config(made, "gpu", ConfigOptions()))
    assert (config.backend, config.max_batch_size) == ("onnxruntime", 8)
    assert list(config.input[0].dims) == [3, -1, -1]
    assert list(config.output[1].dims) == [1]
    assert config.output[1].HasField("reshape")
    assert list(config.instance_group[0].gpus) == [0]


def test_a_fixed_batch_is_part_of_the_dims_and_an_optional_input_rules_batches_out():
    fixed = parse_config(render_config(graph([tensor(1, 3)], [tensor(1, 3, name="y")]), "cpu", ConfigOptions()))
    assert (fixed.max_batch_size, list(fixed.input[0].dims)) == (0, [1, 3])
    made = graph([tensor("n", 3)], [tensor("n", 3, name="y")], optional=[tensor("n", name="scale")])
    optional = parse_config(render_config(made, "cpu", ConfigOptions()))
    assert (optional.max_batch_size, [entry.optional for entry in optional.input]) == (0, [False, True])


def test_wishes_become_batches_batching_warmup_and_labels(tmp_path):
    made = graph([tensor("n", "w", datatype="TYPE_INT64")], [tensor("n", 2, name="y")])
    options = ConfigOptions(32, dynamic_batching=True, warmup=True, labels=tmp_path / "classes")
    config = parse_config(render_config(made, "cpu", options, trial=PROVED))
    assert config.max_batch_size == 32
    assert config.HasField("dynamic_batching")
    assert list(config.model_warmup[0].inputs["x"].dims) == [1]
    assert config.output[0].label_filename == "labels.txt"


@pytest.mark.parametrize("options", [ConfigOptions(max_batch_size=4), ConfigOptions(dynamic_batching=True)])
def test_batches_of_a_graph_that_takes_none_are_refused(options):
    with pytest.raises(InputError):
        render_config(graph([tensor(1, 3)], [tensor(1, 3, name="y")]), "cpu", options)


def test_a_tensor_of_a_type_that_triton_lacks_is_refused():
    with pytest.raises(GraphError, match="output 'y' is no tensor") as caught:
        render_config(graph([tensor("n", 3)], [GraphTensor("y", None, None)]), "cpu", ConfigOptions())
    assert "zipmap=False" in (caught.value.hint or "")
