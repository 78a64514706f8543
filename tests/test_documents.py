import time
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritonops.documents import parse_toml, toml_key, toml_string
from tritonops.errors import InputError


@pytest.mark.parametrize(
    "key",
    [".".join("a" * 33), " . ".join("a" * 33), "\t.".join(['"a.b"', "'c d'", "e-f"] * 11), ".".join(["a"] * 9999)],
)
@pytest.mark.parametrize("around", [("", " = 1"), ("[", "]"), ("x = { ", " = 1 }")])
def test_a_key_of_too_many_parts_is_refused_with_its_line(key, around):
    before, after = around
    with pytest.raises(InputError, match=r"models\.toml, line 2: a key has more than 32 parts"):
        parse_toml(f"# 1\n{before}{key}{after}\n", "models.toml")


def test_the_longest_key_and_dots_that_are_no_key_are_read():
    key = ".".join("a" * 32)
    text = f'{key} = 1\n# {"..." * 100}\ns = "{". " * 100}"\nversions = [{"1.5, " * 100}]\n'
    assert parse_toml(text, "models.toml")["versions"] == [1.5] * 100


@pytest.mark.parametrize(
    "line", ["a" * 1_000_000, "." * 190_000, ".'" + "a" * 990_000, "a.a\n" * 190_000, '."' * 190_000]
)
def test_the_look_for_long_keys_takes_no_time_that_grows_with_the_square_of_a_line(line):
    started = time.process_time()
    with pytest.raises(InputError):
        parse_toml(line, "models.toml")
    assert time.process_time() - started < 2


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_string_and_a_key_are_written_so_that_they_read_back(text):
    assert tomllib.loads(f"{toml_key(text)} = {toml_string(text)}") == {text: text}
