"""Text from elsewhere: what is shown of it can neither trick a terminal nor flood it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritonops.display_text import MAX_LINE, MAX_LINES, clip, clip_lines, one_line, printable
from tritonops.errors import PartialFailureError, SourceError, TritonOpsError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with a ü and 漢字", "plain, with a ü and 漢字"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[38;2;1;2;3mred\x1b[1;1H\x1b[2J", "red"),
        ("\x1b]0;a title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP+q\x1b\\after\x1bc", "after"),
        ("\x9b31mC1\x9d0;title\x9cend", "C1end"),
        ("never ends: \x1b]0;title", "never ends: "),
        ("a\rb", "a b"),
        ("a\x00\x07\x08\x7fb\x85c", "ab c"),
        ("abc\u202etxt.exe\u2066\u200e", "abctxt.exe"),
        ("zero\u200b\u200d\u2060\ufeff\u00ad\u034f\u3164\ufe0fwidth\U000e0041", "zerowidth"),
        ("line\u2028para\u2029graph", "line para graph"),
        ("lone \ud800 surrogate \udcff", "lone  surrogate "),
        ("private \ue000 unassigned \U000e0fff", "private  unassigned "),
        ("keeps\nlines\r\nand  indents", "keeps\nlines\nand  indents"),
        ("a\ttab and a\xa0space", "a tab and a space"),
    ],
)
def test_only_what_can_be_seen_is_shown(text, shown):
    assert printable(text) == shown
    assert str(TritonOpsError(text)) == shown


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters()))
def test_whatever_comes_is_printable_and_stays_so(text):
    shown = printable(text)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert printable(shown) == shown
    assert "\n" not in one_line(text)
    shown.encode()


def test_a_line_is_cut_at_500_characters_and_says_so():
    assert clip("x" * MAX_LINE) == "x" * 500
    assert clip("x" * 60_000) == "x" * 499 + "…"
    assert len(str(SourceError("x" * 60_000))) == 500


def test_a_long_log_keeps_its_ends():
    lines = [str(number) for number in range(10_000)]
    shown = clip_lines("\n".join(lines)).split("\n")
    assert len(shown) == MAX_LINES
    assert (shown[0], shown[-1]) == ("0", "9999")


def test_a_hint_and_a_list_of_models_are_cleaned_and_not_cut():
    error = SourceError("no such file", hint=f"It has: \x1b[1m{'x' * 600}")
    assert error.in_one_line == f"no such file. It has: {'x' * 600}"
    failures = {f"model-{number}/1": error.in_one_line for number in range(200)}
    assert str(PartialFailureError("not everything was downloaded", failures)).count("\n") == 200
    assert "\x1b" not in str(PartialFailureError("failed", {"\x1b[2Jm": "\x9b1m"}))
