"""Trials on a real ONNX Runtime: loads, inferred shapes, batches; limits of time and memory."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests.onnx_models import affine, identity, model
from tests.remote.sshd import descendants, wait_until
from tritonops.models.graphs.onnx_graph import GraphTensor
from tritonops.models.graphs.trial import BatchTrial, Trial, TrialRequest, try_graph, try_graphs

F, INT64, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8
CASES = Path(__file__).with_name("cases")


def softmax_over_rows():
    node = helper.make_node("Softmax", ["x"], ["y"], axis=0)
    return model([node], {"x": (F, ["seq_len", 3])}, {"y": (F, ["seq_len", 3])})


def other_names():
    return model([helper.make_node("Relu", ["x"], ["y"])], {"x": (F, ["unk__1", 3])}, {"y": (F, ["unk__2", 3])})


def rows_above(limit):
    """The rows of x whose largest value is above a limit."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], axes=[1], keepdims=0),
        helper.make_node("Greater", ["most", "limit"], ["keep"]),
        helper.make_node("Compress", ["x", "keep"], ["y"], axis=0),
    ]
    constant = helper.make_tensor("limit", F, [], [limit])
    return model(nodes, {"x": (F, ["batch", 3])}, {"y": (F, ["chosen", 3])}, [constant])


def of_one_row():
    """Exported with a batch of one written into the graph, under a first dimension that varies."""
    node, shape = helper.make_node("Reshape", ["x", "shape"], ["y"]), helper.make_tensor("shape", INT64, [2], [1, 3])
    return model([node], {"x": (F, ["n", 3])}, {"y": (F, ["n", 3])}, [shape])


def words(size):
    """A table of words: only indices below its size are right."""
    table = helper.make_tensor("table", F, [size, 2], [float(i) for i in range(2 * size)])
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    return model([node], {"x": (INT64, ["n", "length"])}, {"y": (F, ["n", "length", 2])}, [table])


def convolution():
    """Images of any size with three channels, which the input does not say."""
    weights = helper.make_tensor("w", F, [1, 3, 1, 1], [1.0, 2.0, 3.0])
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    return model([node], {"x": (F, ["n", "c", "h", "w_"])}, {"y": (F, ["n", 1, "h", "w_"])}, [weights])


@pytest.mark.parametrize(
    ("made", "verdict", "cause", "reason"),
    [
        (affine(2, 1), "proved", "", ""),
        (identity(TensorProto.STRING), "proved", "", ""),
        (identity(TensorProto.INT8), "proved", "", ""),
        (other_names(), "proved", "", ""),
        (words(3), "proved", "", ""),
        (convolution(), "proved", "", ""),
        (softmax_over_rows(), "refuted", "company", "output 'y' is another for a row in company"),
        (rows_above(0.7), "refuted", "rows", "output 'y' has the shape"),
        (rows_above(10.0), "refuted", "rows", "output 'y' has the shape"),
        (of_one_row(), "refuted", "rows", "it does not run with 5 rows"),
        (identity(TensorProto.BFLOAT16), "unknown", "", "input 'x' is of type tensor(bfloat16)"),
    ],
)
def test_a_trial_tells_batches_from_what_only_looks_like_them(tmp_path, made, verdict, cause, reason):
    onnx.save_model(made, tmp_path / "model.onnx")
    found = try_graph(TrialRequest(tmp_path / "model.onnx", batches=True)).batches
    assert (found.verdict, found.cause) == (verdict, cause)
    assert reason in found.reason


def test_a_batch_of_one_asks_for_one_row_and_sizes_come_from_the_config(tmp_path):
    onnx.save_model(of_one_row(), tmp_path / "model.onnx")
    assert try_graph(TrialRequest(tmp_path / "model.onnx", batches=True, rows=1)).batches.verdict == "proved"
    seven = helper.make_tensor("seven", F, [7], [1.0] * 7)
    node = helper.make_node("Add", ["x", "seven"], ["y"])
    onnx.save_model(model([node], {"x": (F, ["n", "w"])}, {"y": (F, ["n", "w"])}, [seven]), tmp_path / "model.onnx")
    sized = TrialRequest(tmp_path / "model.onnx", batches=True, sizes=(("x", (7,)),))
    assert try_graph(sized).batches.verdict == "proved"


def test_shapes_are_those_that_onnx_runtime_infers():
    trial = try_graph(TrialRequest(CASES / "output_without_shape_inferred.onnx"))
    assert trial == Trial(
        "loaded",
        inputs=(GraphTensor("x", "TYPE_FP32", (2, 3)),),
        outputs=(GraphTensor("y", "TYPE_FP32", (2, 3)),),
    )
    trial = try_graph(TrialRequest(CASES / "output_symbolic_but_inferred_fixed.onnx"))
    assert trial.outputs == (GraphTensor("y", "TYPE_FP32", (1, 3)),)


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("opset_too_old_6", "NotImplemented", "Could not find an implementation for AveragePool(1)"),
        ("unknown_domain_used", "Fail", "my.pkg:Twice(-1) is not a registered function/op"),
        ("complex_input", "Fail", "tensor(complex64)"),
    ],
)
def test_a_refusal_has_onnx_runtime_s_reason_without_its_code_and_the_path(name, kind, reason):
    trial = try_graph(TrialRequest(CASES / f"{name}.onnx"))
    assert (trial.state, trial.kind) == ("refused", kind)
    assert reason in trial.reason
    assert "ONNXRuntimeError" not in trial.reason
    assert str(CASES) not in trial.reason


def random():
    return model([helper.make_node("RandomNormalLike", ["x"], ["y"])], {"x": (F, ["n", 3])}, {"y": (F, ["n", 3])})


def large_rows():
    """A row takes 450 MB on the way, so that five need more than a trial may have."""
    nodes = [
        helper.make_node("Shape", ["x"], ["count"], end=1),
        helper.make_node("Concat", ["count", "size"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], ["large"], value=helper.make_tensor("v", UINT8, [1], [0])),
        helper.make_node("Gather", ["large", "first"], ["little"], axis=1),
        helper.make_node("Cast", ["little"], ["number"], to=F),
        helper.make_node("Add", ["x", "number"], ["y"]),
    ]
    constants = [helper.make_tensor("size", INT64, [1], [450_000_000]), helper.make_tensor("first", INT64, [1], [0])]
    return model(nodes, {"x": (F, ["n", 3])}, {"y": (F, ["n", 3])}, constants)


def wide():
    """An input too large to be made up."""
    node = helper.make_node("Relu", ["x"], ["y"])
    return model([node], {"x": (F, ["n", 1 << 40])}, {"y": (F, ["n", 1 << 40])})


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (random(), "output 'y' is another each time it runs, as with random numbers"),
        (large_rows(), "5 rows need more memory than a trial has"),
        (wide(), "it does not run with made-up inputs: they would be too large"),
    ],
)
def test_what_a_trial_cannot_tell_is_no_proof_and_no_refutation(tmp_path, made, reason):
    onnx.save_model(made, tmp_path / "model.onnx")
    trial = try_graph(TrialRequest(tmp_path / "model.onnx", batches=True))
    assert (trial.state, trial.batches) == ("loaded", BatchTrial("unknown", reason))


def slow():
    """A loop of a thousand million steps."""
    step = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["v", "v"], ["w"])],
        "step",
        [helper.make_tensor_value_info(name, type_, []) for name, type_ in (("i", INT64), ("go", TensorProto.BOOL))]
        + [helper.make_tensor_value_info("v", F, None)],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("w", F, None)],
    )
    constants = [helper.make_tensor("times", INT64, [], [1 << 30])]
    constants += [helper.make_tensor("yes", TensorProto.BOOL, [], [True])]
    node = helper.make_node("Loop", ["times", "yes", "x"], ["y"], body=step)
    return model([node], {"x": (F, ["n", 3])}, {"y": (F, ["n", 3])}, constants)


def greedy():
    """A constant of 40 GB, folded while the graph is loaded."""
    shape = helper.make_tensor("shape", INT64, [1], [10_000_000_000])
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["large"]),
        helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    return model(nodes, {"x": (F, ["n", 3])}, {"y": (F, ["n", 3])}, [shape])


def test_what_takes_too_long_or_too_much_memory_is_unknown_and_the_others_are_tried(tmp_path):
    for name, made in (("slow", slow()), ("greedy", greedy()), ("good", affine())):
        onnx.save_model(made, tmp_path / f"{name}.onnx")
    (tmp_path / "none.onnx").write_bytes(b"no graph")
    requests = {path.stem: TrialRequest(path, batches=True) for path in tmp_path.glob("*.onnx")}
    trials = try_graphs(requests.values(), timeout=2)
    assert trials[requests["slow"]].state == "loaded"
    assert trials[requests["slow"]].outputs == (GraphTensor("y", "TYPE_FP32", ("n", 3)),)
    assert trials[requests["slow"]].batches == BatchTrial("unknown", "it took longer than 2 s")
    assert trials[requests["good"]].batches == BatchTrial("proved")
    assert trials[requests["none"]].state == "refused"
    greedy_trial = trials[requests["greedy"]]
    assert greedy_trial.batches.verdict == "unknown", greedy_trial


def test_ctrl_c_ends_the_trial_and_the_graph_that_runs(tmp_path):
    onnx.save_model(slow(), tmp_path / "model.onnx")
    program = f"""
from pathlib import Path
from tritonops.models.graphs.trial import TrialRequest, try_graph
try_graph(TrialRequest(Path({str(tmp_path / "model.onnx")!r}), batches=True))
"""
    trial = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL, start_new_session=True)
    wait_until(lambda: len([*descendants(trial.pid)]) == 2, "a graph runs")
    started = [*descendants(trial.pid)]
    os.killpg(trial.pid, signal.SIGINT)
    assert trial.wait(10) != 0
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), "nothing is left")


def test_a_library_of_operators_that_is_elsewhere_leaves_the_graph_unknown():
    trial = try_graph(TrialRequest(CASES / "unknown_domain_used.onnx", libraries=("/opt/ops/libops.so",)))
    assert trial.state == "unknown"
    assert trial.reason == "its library of operators /opt/ops/libops.so is not on this machine"


def test_without_onnxruntime_nothing_is_known(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    trial = try_graph(TrialRequest(CASES / "name_dot.onnx"))
    assert (trial.state, trial.reason) == ("unknown", "onnxruntime is not installed")


def test_each_trial_is_announced_and_each_graph_is_tried_once(tmp_path):
    onnx.save_model(affine(), tmp_path / "a.onnx")
    announced: list[TrialRequest] = []
    request = TrialRequest(tmp_path / "a.onnx")
    assert list(try_graphs([request, request], on_start=announced.append)) == announced == [request]
