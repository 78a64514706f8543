"""Lines of errors: of a key, of the table above it, and of an inline table."""

from pathlib import Path

import pytest

from tritonops.errors import InputError
from tritonops.kubernetes.targets.table import Table

TEXT = """\
[targets.a]
labels = { x = "y" }

[targets.a.secrets]
HF_TOKEN = "hub"
"""


@pytest.mark.parametrize(
    ("at", "keys", "line"),
    [
        (("targets", "a"), ("labels",), 2),
        (("targets", "a", "labels"), ("x",), 2),
        (("targets", "a", "secrets"), ("HF_TOKEN",), 5),
        (("targets", "a", "secrets"), ("absent",), 4),
        (("targets", "a"), (), 1),
        (("targets", "b"), ("x",), 1),
    ],
)
def test_an_error_has_the_line_of_the_nearest_statement(at, keys, line):
    error = Table(Path("kubernetes.toml"), TEXT, at, {}).error("is wrong", *keys)
    assert str(error) == f"kubernetes.toml, line {line}: {'.'.join((*at[1:], *keys))}: is wrong"


def test_a_key_that_would_trick_a_terminal_is_quoted():
    table = Table(Path("f"), "", ("targets", "a\x1b[31m"), {})
    assert "\x1b" not in str(table.error("x"))


def test_values_that_are_absent_have_their_defaults():
    table = Table(Path("f"), "", ("targets", "a"), {})
    assert table.text("x", str) is None
    assert table.text("x", str, "default") == "default"
    assert table.texts("x", str) == ()
    assert table.number("x", 3, at_least=1, at_most=4) == 3
    assert table.number("x", at_least=1, at_most=4) is None
    assert table.boolean("x") is False
    assert table.choice("x", ("a",)) is None
    assert table.texts_by_key("x", str, str) == {}
    assert table.tables("x") == []
    with pytest.raises(InputError, match="x is missing"):
        table.required("x", str)
