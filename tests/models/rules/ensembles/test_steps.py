"""The wiring of an ensemble, and its steps against the models that they name."""

from dataclasses import replace

import pytest

from tests.models.rules.subjects import codes, model_folder, subject
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.rules.ensembles.ensemble import ensemble_problems

STEP = 'model_name: "clip" model_version: -1 input_map { key: "x" value: "a" } output_map { key: "y" value: "b" }'


def ensemble(others, step=STEP, dims=3):
    text = (
        'platform: "ensemble" max_batch_size: 8\n'
        f'input [ {{ name: "a" data_type: TYPE_FP32 dims: [ {dims} ] }} ]\n'
        'output [ { name: "b" data_type: TYPE_FP32 dims: [ 3 ] } ]\n'
        f"ensemble_scheduling {{ step [ {{ {step} }} ] }}"
    )
    return replace(subject(name="ens"), config=parse_config(text), others=others)


@pytest.fixture
def clip(tmp_path):
    return {"clip": subject(home=model_folder(tmp_path))}


@pytest.mark.parametrize(
    ("step", "dims", "expected"),
    [
        (STEP, 3, set()),
        (STEP.replace('"clip"', '"clap"'), 3, {"ensemble-step-unknown"}),
        (STEP.replace('key: "x"', 'key: "q"'), 3, {"ensemble-step-tensor"}),
        (STEP.replace('value: "a"', 'value: "nowhere"'), 3, {"ensemble-wiring"}),
        (STEP.replace("-1", "7"), 3, {"ensemble-step-version"}),
        (STEP, 5, {"ensemble-step-tensor"}),
    ],
)
def test_a_step_that_cannot_be_served_is_found(clip, step, dims, expected):
    found = set(codes(ensemble_problems(ensemble(clip, step, dims))))
    assert found >= expected
    assert bool(found) == bool(expected)


def test_a_disabled_step_is_found(clip):
    assert codes(ensemble_problems(ensemble({"clip": replace(clip["clip"], enabled=False)})))


def test_a_config_that_is_no_ensemble_is_left_alone():
    assert codes(ensemble_problems(subject())) == []
