"""The tensors between the steps of an ensemble."""

from dataclasses import replace

import pytest

from tests.models.rules.subjects import subject
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.rules.ensembles.tensors import tensor_mistakes


def tensor(name, dims, datatype="TYPE_FP32"):
    return f'{{ name: "{name}" data_type: {datatype} dims: [ {dims} ] }}'


def step(name, batch, inputs, outputs):
    text = f'backend: "onnxruntime" max_batch_size: {batch}'
    text += "".join(f" input {each}" for each in inputs) + "".join(f" output {each}" for each in outputs)
    return replace(subject(name=name), config=parse_config(text))


def ensemble(*steps, batch=8, dims="3"):
    """Chain the steps: i → t1 → t2 → o."""
    names = ["i", *(f"t{number}" for number in range(1, len(steps))), "o"]
    mapped = " ".join(
        f'step {{ model_name: "{each.name}" model_version: -1 input_map {{ key: "x" value: "{names[number]}" }} '
        f'output_map {{ key: "y" value: "{names[number + 1]}" }} }}'
        for number, each in enumerate(steps)
    )
    text = f'platform: "ensemble" max_batch_size: {batch} input {tensor("i", dims)} output {tensor("o", dims)}'
    config = parse_config(f"{text} ensemble_scheduling {{ {mapped} }}")
    return replace(subject(name="ens"), config=config, others={each.name: each for each in steps})


def of(name, batch, dims, datatype="TYPE_FP32"):
    return step(name, batch, [tensor("x", dims, datatype)], [tensor("y", dims, datatype)])


@pytest.mark.parametrize(
    ("judged", "count"),
    [
        (ensemble(of("a", 8, "3"), of("b", 8, "3")), 0),
        (ensemble(of("a", 8, "3"), of("b", 0, "-1, 3")), 0),
        (ensemble(of("a", 0, "-1, 3"), of("b", 8, "3"), batch=0, dims="-1, 3"), 0),
        (ensemble(of("a", 8, "3"), of("b", 8, "-1")), 0),
        (ensemble(of("a", 8, "3"), of("b", 8, "4")), 2),
        (ensemble(of("a", 8, "3"), of("b", 8, "3, 1")), 2),
        (ensemble(of("a", 8, "3"), of("b", 8, "3", "TYPE_INT8")), 2),
        (ensemble(of("a", 8, "3"), of("b", 0, "2, 3")), 0),
        (ensemble(of("a", 8, "3"), of("b", 0, "3, 3")), 0),
        (ensemble(of("a", 8, "3"), of("b", 0, "3")), 1),
    ],
)
def test_types_and_shapes_have_to_agree_with_the_batch_or_without_it(judged, count):
    assert len(list(tensor_mistakes(judged))) == count


def test_a_step_that_takes_one_row_is_served():
    (mistake,) = tensor_mistakes(ensemble(of("a", 8, "3"), of("b", 0, "3")))
    assert mistake.fails_for_batches


def test_a_tensor_is_compared_with_its_first_use():
    two = replace(ensemble(of("a", 8, "3"), of("b", 8, "3", "TYPE_INT8")))
    first, second = tensor_mistakes(two)
    assert "'t1' is TYPE_FP32 for output 'y' of step 'a', and TYPE_INT8 for input 'x' of step 'b'" in first.what
    assert "'o' is TYPE_FP32 for the ensemble, and TYPE_INT8 for output 'y' of step 'b'" in second.what


def test_nothing_is_said_of_a_step_that_is_left_to_its_backend():
    unknown = replace(of("b", 0, "9"), config=parse_config('backend: "dali"'))
    assert list(tensor_mistakes(ensemble(of("a", 8, "3"), unknown))) == []
    partly = replace(unknown, config=parse_config(f'backend: "tensorrt" input {tensor("x", "3")}'))
    assert list(tensor_mistakes(ensemble(of("a", 8, "3"), partly))) == []
    other = replace(unknown, config=parse_config(f'backend: "tensorrt" input {tensor("x", "4")}'))
    assert len(list(tensor_mistakes(ensemble(of("a", 8, "3"), other)))) == 1
