"""The files of warm-up data."""

import struct

import pytest

from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.rules.warmup_data import ends_inside_a_string, warmup_data_problems


def data(kind, dims):
    text = f'model_warmup {{ name: "w" inputs {{ key: "x" value {{ data_type: {kind} dims: {dims} }} }} }}'
    return parse_config(text).model_warmup[0].inputs["x"]


def strings(*values):
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


@pytest.mark.parametrize(
    ("kind", "dims", "content", "expected"),
    [
        ("TYPE_FP32", [2, 3], bytes(24), []),
        ("TYPE_FP32", [2, 3], bytes(23), ["error"]),
        ("TYPE_FP32", [2, 3], bytes(28), ["warning"]),
        ("TYPE_STRING", [2], strings(b"a", b"bc"), []),
        ("TYPE_STRING", [2], strings(b"a", b"bc") + b"d", ["error"]),
        ("TYPE_STRING", [3], strings(b"a", b"bc"), ["error"]),
    ],
)
def test_a_file_of_the_wrong_size_is_found(tmp_path, kind, dims, content, expected):
    path = tmp_path / "data"
    path.write_bytes(content)
    assert [problem.severity for problem in warmup_data_problems(data(kind, dims), path)] == expected


@pytest.mark.parametrize(
    ("content", "ends_inside"),
    [(strings(b"abc"), False), (b"", False), (strings(b"abc")[:-1], True), (b"\x01\x00\x00\x00", True)],
)
def test_data_that_ends_inside_a_string_is_told(content, ends_inside):
    assert ends_inside_a_string(content) == ends_inside
