"""config.pbtxt rendered from a graph: batches, tensors, options."""

import pytest

from tritonops.errors import GraphError, InputError
from tritonops.models.configs.config_options import ConfigOptions
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.configs.rendering import render_config, render_configs
from tritonops.models.graphs.examine import ExaminedGraph
from tritonops.models.graphs.onnx_graph import Graph, GraphTensor
from tritonops.models.graphs.trial import PROVED, BatchTrial


def tensor(*shape, datatype="TYPE_FP32", name="x"):
    return GraphTensor(name, datatype, shape)


def graph(inputs, outputs, optional=()):
    return Graph(8, {"": 17}, tuple(inputs), tuple(optional), tuple(outputs), (), {})


REFUTED = BatchTrial("refuted", "output 'y' is another for a row in company: rows depend on each other")


UNTRIED = BatchTrial("unknown", "onnxruntime is not installed")


@pytest.mark.parametrize(
    ("names", "trial", "options", "expected"),
    [
        (("batch", "batch"), PROVED, ConfigOptions(), 8),
        (("batch", "batch"), UNTRIED, ConfigOptions(), 0),
        (("batch", "batch"), UNTRIED, ConfigOptions(max_batch_size=4), 4),
        (("seq_len", "seq_len"), PROVED, ConfigOptions(), 0),
        (("seq_len", "seq_len"), PROVED, ConfigOptions(max_batch_size=16), 16),
        (("seq_len", "seq_len"), REFUTED, ConfigOptions(), 0),
        (("unk__1", "unk__2"), PROVED, ConfigOptions(), 8),
        (("unk__1", "unk__2"), UNTRIED, ConfigOptions(), 0),
        (("unk__1", "unk__2"), UNTRIED, ConfigOptions(max_batch_size=4), 4),
        (("batch", "batch"), PROVED, ConfigOptions(max_batch_size=0), 0),
        (("seq_len", "seq_len"), REFUTED, ConfigOptions(max_batch_size=4), "takes no batches: output 'y' is another"),
        (("batch", ""), PROVED, ConfigOptions(max_batch_size=4), 4),
        (("", ""), PROVED, ConfigOptions(dynamic_batching=True), 8),
        (("seq_len", "seq_len"), PROVED, ConfigOptions(dynamic_batching=True), "which is a length"),
        (("seq_len", "seq_len"), PROVED, ConfigOptions(16, dynamic_batching=True), 16),
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
            render_config(made, "cpu", options, batches=trial)
    else:
        assert parse_config(render_config(made, "cpu", options, batches=trial)).max_batch_size == expected


def test_the_config_leaves_the_batch_out_of_the_dims():
    made = graph([tensor("n", 3, "h", "w")], [tensor("n", 6, name="y"), tensor("n", name="z")])
    config = parse_config(render_config(made, "gpu", ConfigOptions(), batches=PROVED))
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
    config = parse_config(render_config(made, "cpu", options, batches=PROVED))
    assert config.max_batch_size == 32
    assert config.HasField("dynamic_batching")
    assert list(config.model_warmup[0].inputs["x"].dims) == [1]
    assert config.output[0].label_filename == "labels.txt"


def test_a_graph_without_batches_is_warmed_up_too():
    made = graph([tensor(1, 3)], [tensor(1, 3, name="y")])
    config = parse_config(render_config(made, "cpu", ConfigOptions(warmup=True), batches=REFUTED))
    assert (config.max_batch_size, config.model_warmup[0].batch_size) == (0, 1)


@pytest.mark.parametrize("options", [ConfigOptions(max_batch_size=4), ConfigOptions(dynamic_batching=True)])
def test_batches_of_a_graph_that_takes_none_are_refused(options):
    with pytest.raises(InputError):
        render_config(graph([tensor(1, 3)], [tensor(1, 3, name="y")]), "cpu", options, batches=REFUTED)


def test_a_tensor_of_a_type_that_triton_lacks_is_refused():
    with pytest.raises(GraphError, match="output 'y' is no tensor") as caught:
        render_config(graph([tensor("n", 3)], [GraphTensor("y", None, None)]), "cpu", ConfigOptions())
    assert "zipmap=False" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("shape", "reason"), [(None, "the shape of input 'x' is unknown"), ((2, 0), "Triton has no dimension of 0")]
)
def test_a_shape_that_nobody_knows_or_triton_lacks_is_refused(shape, reason):
    with pytest.raises(GraphError, match=reason):
        render_config(graph([GraphTensor("x", "TYPE_FP32", shape)], [tensor(2, name="y")]), "cpu", ConfigOptions())


@pytest.mark.parametrize("name", ['x"y', "x\ny", "x\\y", "é/日:0", "x\ty'"])
def test_any_name_comes_back_from_the_config(name):
    made = graph([tensor(2, name=name)], [tensor(2, name="y")])
    config = parse_config(render_config(made, "cpu", ConfigOptions(warmup=True)))
    assert config.input[0].name == name
    assert list(config.model_warmup[0].inputs) == [name]


def test_notes_say_why_there_are_no_batches_and_what_only_one_backend_serves(tmp_path):
    made = graph([tensor("n", 3, datatype="TYPE_BF16")], [tensor("n", 3, name="y")])
    rendered = render_configs(ExaminedGraph(made, UNTRIED, "no kernel"), "model.onnx", tmp_path / "clip")
    assert sorted(path.name for path in rendered.texts) == ["cpu.pbtxt", "gpu.pbtxt"]
    assert rendered.notes == (
        "the ONNX Runtime of this machine does not load it: no kernel",
        "no batches: onnxruntime is not installed",
        "NVIDIA's ONNX Runtime backend does not serve TYPE_BF16; the embedded Triton does",
    )


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({}, "the file has none that fits, ONNX Runtime infers none"),
        ({"untried": "onnxruntime is not installed"}, "ONNX Runtime was not asked: onnxruntime is not installed"),
        ({"failure": "no kernel"}, "ONNX Runtime does not load the graph: no kernel"),
    ],
)
def test_the_reason_for_an_unknown_shape_is_true(tmp_path, known, message):
    made = graph([tensor(2, 3)], [GraphTensor("y", "TYPE_FP32", None)])
    with pytest.raises(GraphError, match=message):
        render_configs(ExaminedGraph(made, UNTRIED, **known), "model.onnx", tmp_path)


def test_shapes_that_nobody_inferred_are_noted(tmp_path):
    made = graph([tensor(2, 3)], [tensor("n", 3, name="y")])
    examined = ExaminedGraph(made, UNTRIED, untried="onnxruntime is not installed")
    assert "the shapes are those of the file" in render_configs(examined, "model.onnx", tmp_path).notes[0]
