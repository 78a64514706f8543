"""One entry of models.toml: its values, and errors with the place that a person looks at."""

from pathlib import Path

import pytest

from tritonops.errors import CatalogError
from tritonops.models.catalog import valid_values as valid
from tritonops.models.catalog.toml_entry import Entry

TEXT = """\
[[models.first]]
path = "a.onnx"

[[models."odd name"]]
path = "b.onnx"
"""


def entry(**values):
    return Entry(Path("models.toml"), TEXT, "odd name", 0, values)


def test_a_value_is_checked_and_a_default_takes_the_place_of_a_missing_one():
    given = entry(local_name="model.plan", triton_version=3)
    assert given.text("local_name", valid.file_name, "model.onnx") == "model.plan"
    assert entry().text("local_name", valid.file_name, "model.onnx") == "model.onnx"
    assert given.number("triton_version", valid.version) == 3


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "triton_version: is missing"),
        ({"triton_version": "3"}, "triton_version: expected an integer, got '3'"),
        ({"triton_version": True}, "triton_version: expected an integer, got True"),
        ({"triton_version": 0}, "triton_version: 0 is not a version; expected an integer from 1"),
    ],
)
def test_an_error_names_the_file_the_line_the_entry_and_the_key(values, problem):
    with pytest.raises(CatalogError) as raised:
        entry(**values).number("triton_version", valid.version)
    assert str(raised.value) == f"models.toml, line 4: models.'odd name'[0]: {problem}"


def test_a_key_that_plays_tricks_on_a_terminal_is_written_harmlessly():
    assert "\x1b" not in str(entry().error("\x1b[31m", "is not a key"))
