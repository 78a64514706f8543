"""Where the entries of models.toml begin and end."""

import pytest

from tritonops.models.catalog.lines import entry_line, entry_spans, statement_line

TEXT = """\
# a comment
title = "x"

[[models.a]] # first
path = "[[models.a]]"
[[models."b.c"]]
path = '''
[[models.a]]
'''

[[models.a]]
path = "y"
"""


def test_an_entry_is_found_by_its_model_and_its_number():
    assert [entry_line(TEXT, entry) for entry in (("a", 0), ("b.c", 0), ("a", 1))] == [4, 6, 11]


def test_an_entry_ends_with_its_last_statement():
    assert entry_spans(TEXT) == {("a", 0): (3, 5), ("b.c", 0): (5, 9), ("a", 1): (10, 12)}


@pytest.mark.parametrize(
    ("path", "line"), [(("title",), 2), (("models", "a"), 4), (("models", "b.c", "path"), 7), (("z",), 1)]
)
def test_a_statement_is_found_by_its_key(path, line):
    assert statement_line(TEXT, path) == line


def test_the_entries_of_an_array_on_one_line_have_lines_and_no_span():
    text = '[models]\na = [{path = "x"},\n  {path = "y"}]\n'
    assert [entry_line(text, ("a", number)) for number in (0, 1)] == [2, 3]
    assert entry_spans(text) == {}
