"""Which graphs are tried, and what a trial says of a config."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.models.rules.subjects import codes, model_folder, subject
from tests.onnx_models import affine
from tritonops.models.graphs.onnx_graph import GraphTensor
from tritonops.models.graphs.trial import PROVED, BatchTrial, Trial
from tritonops.models.rules.judged_server import embedded_server
from tritonops.models.rules.onnx.graph import graph_problems
from tritonops.models.rules.onnx.trials import needed_trials

LOADED = Trial(
    "loaded",
    inputs=(GraphTensor("x", "TYPE_FP32", ("batch", 3)),),
    outputs=(GraphTensor("y", "TYPE_FP32", ("batch", 3)),),
    batches=PROVED,
)
GPU = ("KIND_CPU", "KIND_GPU")


def judged(tmp_path, trial, *edits, is_load_tried=False, **options):
    made = subject(*edits, home=model_folder(tmp_path), **options)
    (request,) = needed_trials(made, load_all=True)
    return graph_problems(replace(made, trials={request: trial}, is_load_tried=is_load_tried))


def test_batches_are_tried_in_the_sizes_of_the_config_and_with_no_more_rows(tmp_path):
    made = subject(("max_batch_size: 8", "max_batch_size: 2"), home=model_folder(tmp_path))
    (request,) = needed_trials(made, load_all=False)
    assert (request.batches, request.rows, request.sizes) == (True, 2, (("x", (3,)),))


def fixed(tmp_path):
    home = model_folder(tmp_path)
    made = affine()
    for value in (made.graph.input[0], made.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    (home / "1/model.onnx").write_bytes(made.SerializeToString())
    return home


@pytest.mark.parametrize(("load_all", "count"), [(False, 0), (True, 1)])
def test_a_graph_that_its_file_says_all_about_is_loaded_only_where_all_are(tmp_path, load_all, count):
    three = [f'"{name}" data_type: TYPE_FP32 dims: [ 3 ]' for name in "xy"]
    edits = [("max_batch_size: 8", "max_batch_size: 0"), *((text, text.replace("[ 3 ]", "[ 2, 3 ]")) for text in three)]
    assert len(list(needed_trials(subject(*edits, home=fixed(tmp_path)), load_all=load_all))) == count


def test_sequences_and_ragged_batches_are_more_than_rows_and_are_not_tried(tmp_path):
    made = subject(append="sequence_batching { oldest { max_candidate_sequences: 4 } }", home=model_folder(tmp_path))
    (request,) = needed_trials(made, load_all=True)
    assert not request.batches


@pytest.mark.parametrize(
    ("trial", "load", "found"),
    [
        (LOADED, True, []),
        (Trial("unknown", "it took longer than 30 s"), False, []),
        (Trial("unknown", "it took longer than 30 s"), True, ["load-unknown"]),
        (Trial("refused", "a bad node", "Fail"), False, ["load-refused"]),
        (Trial("crashed", "ONNX Runtime ends with SIGSEGV"), True, ["load-refused"]),
    ],
)
def test_a_trial_that_failed_is_a_finding_and_one_that_nobody_made_only_on_request(tmp_path, trial, load, found):
    problems = list(judged(tmp_path, trial, is_load_tried=load, server=embedded_server()))
    assert codes(problems) == found
    assert all(problem.severity == "error" for problem in problems)


@pytest.mark.parametrize(
    ("kind", "image", "severity"),
    [
        ("Fail", "26.07", "warning"),
        ("NotImplemented", "26.07", "error"),
        ("Fail", "mine:1", "error"),
    ],
)
def test_what_is_refused_here_may_load_in_another_release_unless_a_kernel_lacks(tmp_path, kind, image, severity):
    (problem,) = judged(tmp_path, Trial("refused", "a bad node", kind), image=image)
    assert problem.severity == severity


@pytest.mark.parametrize(
    ("edits", "server", "severity"),
    [((), None, "error"), ((GPU,), None, "warning"), ((GPU,), embedded_server(), "error")],
)
def test_a_kernel_that_the_cpu_lacks_may_be_the_gpu_s(tmp_path, edits, server, severity):
    trial = Trial("refused", "Could not find an implementation for Strange(1)", "NotImplemented")
    (problem,) = judged(tmp_path, trial, *edits, server=server)
    assert (problem.code, problem.severity) == ("load-refused", severity)


@pytest.mark.parametrize(
    ("cause", "append", "found"),
    [
        ("rows", "", ["not-batchable"]),
        ("company", "", []),
        ("company", "dynamic_batching { }", ["not-batchable"]),
        ("rows", "sequence_batching { oldest { max_candidate_sequences: 4 } }", []),
    ],
)
def test_a_refuted_batch_counts_where_the_config_relies_on_it(tmp_path, cause, append, found):
    trial = replace(LOADED, batches=BatchTrial("refuted", "output 'y' has the shape [2, 3] for 5 rows", cause))
    assert codes(judged(tmp_path, trial, append=append)) == found


def test_shapes_are_compared_as_onnx_runtime_infers_them(tmp_path):
    trial = replace(LOADED, outputs=(GraphTensor("y", "TYPE_FP32", ("batch", 4)),))
    assert codes(judged(tmp_path, trial)) == ["tensor-shape"]


def test_a_graph_that_cannot_be_read_is_not_tried(tmp_path):
    home = model_folder(tmp_path)
    Path(home / "1/model.onnx").write_text("<html>")
    assert list(needed_trials(subject(home=home), load_all=True)) == []
