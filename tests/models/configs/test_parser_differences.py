"""Where Triton reads a config otherwise than Python's protobuf; corpus/syntax.toml asks Triton itself."""

import pytest

from tritonops.models.configs.parser_differences import as_python_reads, differences


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("a: 10_000", 3, "does not read 10_000 as a number: write 10000"),
        ("a: 0.5_0", 3, "write 0.50"),
        ("a: 0b11", 3, "does not read 0b11"),
        ("a: +5", 3, "no plus sign"),
        ("a:\u00a05", 2, "U+00A0 (NO-BREAK SPACE)"),
        ("a: \u20131", 3, "U+2013 (EN DASH)"),
        ("a\x1c: 5", 1, "U+001C (a control character)"),
        (r'a: "x\d"', 5, r"no escape '\\d'"),
        ('a: "x\0"', 5, "NUL"),
        ("# \0", 2, "NUL"),
    ],
)
def test_what_triton_alone_refuses_is_found_where_it_stands(text, position, problem):
    (found,) = differences(text)
    assert found.position == position
    assert problem in found.problem


@pytest.mark.parametrize(
    "text",
    [
        'input_0: "a_1" # 10_000 + 5 \u00a0',
        r'a: "\n\x41\101\u00e9\U0001F600\"\?" b: ' + "'1_0 + \u00a0'",
        "a: 5e+3 b: 0x1F c: -5 d: .5f\r\n\t\v\f",
    ],
)
def test_what_both_take_is_left_alone(text):
    assert [*differences(text)] == []
    assert as_python_reads(text) == text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("dims: [ - 1 ]", "dims: [  -1 ]"),
        ("dims: [ - 1, -2 ]", "dims: [  -1, -2 ]"),
        ("a: - # why\n  1", "a:   # why\n -1"),
        ("a: -\n1", "a:  \n-1"),
        ("a: - inf", "a:  -inf"),
        ("a: - - 1", "a: -  -1"),
        ("a: - b", "a: - b"),
        (r'a: "\ud83d\ude00"', 'a: "\U0001f600"'),
    ],
)
def test_what_triton_alone_takes_is_rewritten(text, read):
    assert as_python_reads(text) == read
