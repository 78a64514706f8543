"""Decoupled steps, and where their answers must not meet."""

from dataclasses import replace

import pytest

from tests.models.rules.subjects import subject
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.rules.ensembles.decoupling import decoupled_mistake

TENSORS = " ".join(
    f'{kind} {{ name: "{name}" data_type: TYPE_FP32 dims: 3 }}' for kind in ("input", "output") for name in "ab"
)


def model(name, *, decoupled=False, backend="onnxruntime"):
    policy = "model_transaction_policy { decoupled: true }" if decoupled else ""
    return replace(
        subject(name=name), config=parse_config(f'backend: "{backend}" max_batch_size: 8 {TENSORS} {policy}')
    )


def steps(text):
    """Read `model: inputs > outputs`, one a line."""
    for line in text.strip().splitlines():
        name, _, tensors = line.strip().partition(": ")
        inputs, outputs = (side.split() for side in tensors.split(" > "))
        maps = [("input_map", inputs), ("output_map", outputs)]
        mapped = " ".join(
            f'{field} {{ key: "{key}" value: "{value}" }}'
            for field, names in maps
            for key, value in zip("ab", names, strict=False)
        )
        yield f'step {{ model_name: "{name}" model_version: -1 {mapped} }}'


def ensemble(text, *, outputs="o", others=()):
    named = " ".join(f'output {{ name: "{name}" data_type: TYPE_FP32 dims: 3 }}' for name in outputs.split())
    config = parse_config(
        f'platform: "ensemble" max_batch_size: 8 input {{ name: "i" data_type: TYPE_FP32 dims: 3 }} {named} '
        f"ensemble_scheduling {{ {' '.join(steps(text))} }}"
    )
    models = (model("plain"), model("stream", decoupled=True), model("open", backend="dali"), *others)
    return replace(subject(name="ens"), config=config, others={each.name: each for each in models})


@pytest.mark.parametrize(
    ("text", "outputs", "is_refused"),
    [
        ("plain: i > t\nplain: t i > o", "o", False),
        ("stream: i > t u\nplain: t u > o", "o", False),
        ("stream: i > t\nstream: t > o", "o", False),
        ("stream: i > t\nstream: i > u\nplain: t u > o", "o", True),
        ("stream: i > t\nplain: t i > o", "o", True),
        ("stream: i > o\nstream: i > p", "o p", True),
        ("stream: i > o p", "o p", False),
        ("open: i > t\nstream: i > u\nplain: t u > o", "o", False),
    ],
)
def test_tensors_of_different_decoupled_steps_must_not_meet(text, outputs, is_refused):
    assert bool(decoupled_mistake(ensemble(text, outputs=outputs))) == is_refused


def test_an_ensemble_with_a_decoupled_step_is_a_decoupled_step_itself():
    inner = replace(ensemble("stream: i > o"), name="inner")
    renamed = replace(inner, config=parse_config(str(inner.config).replace('"i"', '"a"').replace('"o"', '"b"')))
    text = "inner: i > t\nplain: t i > o"
    assert decoupled_mistake(ensemble(text, others=[renamed]))
    plain = replace(renamed, config=parse_config(str(renamed.config).replace('"stream"', '"plain"')))
    assert decoupled_mistake(ensemble(text, others=[plain])) is None


def test_a_circle_of_ensembles_ends():
    inner = replace(ensemble("ens: i > o"), name="inner")
    assert decoupled_mistake(ensemble("inner: i > o", others=[inner])) is None
