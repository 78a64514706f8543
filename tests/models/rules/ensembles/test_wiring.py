"""The wiring of an ensemble, whatever its steps are."""

import pytest

from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.rules.ensembles.wiring import form_mistakes, wiring_mistakes


def ensemble(*steps, append=""):
    maps = [
        f'input_map {{ key: "x" value: "{read}" }} output_map {{ key: "y" value: "{written}" }}'
        for read, written in steps
    ]
    return parse_config(
        'platform: "ensemble" input [ { name: "a" } ] output [ { name: "b" } ] ensemble_scheduling { '
        + " ".join(f'step {{ model_name: "m" {each} }}' for each in maps)
        + f" }} {append}"
    )


@pytest.mark.parametrize(
    ("append", "words"),
    [
        ("", []),
        ('default_model_filename: "weights.bin"', []),
        ('default_model_filename: "model.onnx"', ["default_model_filename"]),
        ('backend: "python"', ["backend"]),
        ("instance_group { }", ["instance_group"]),
        ("optimization { }", ["optimization"]),
    ],
)
def test_what_an_ensemble_may_not_have_is_named(append, words):
    found = list(form_mistakes(ensemble(("a", "b"), append=append)))
    assert [f"`{word}`" in mistake for word, mistake in zip(words, found, strict=True)] == [True] * len(words)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([("a", "b")], []),
        ([("a", "m"), ("m", "b")], []),
        ([("a", "m"), ("n", "b")], ["'b' is not written", "'m' is not used", "'n' is not written"]),
        ([("a", "b"), ("a", "b")], ["'b' is written more than once"]),
        ([("b", "b"), ("a", "m")], ["'b' is not written", "'m' is not used"]),
    ],
)
def test_a_tensor_has_to_be_written_once_before_it_is_read(steps, words):
    found = list(wiring_mistakes(ensemble(*steps)))
    assert [word in mistake for word, mistake in zip(words, found, strict=True)] == [True] * len(words)
