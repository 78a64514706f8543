"""Env files read as Compose reads them; the real Compose confirms the table where it is installed."""

import contextlib
import os
import random
import subprocess
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compose_env import compose_environment, differences, missing, our_environment, random_file
from tests.dotenv_cases import CASES, ENVIRON
from tritonops.dotenv import MAX_BYTES, format_line, parse, read_bytes, set_values
from tritonops.errors import EnvFileError


def read(text, environ=ENVIRON, **options):
    data = text.encode() if isinstance(text, str) else text
    return {
        name: found.value
        for name, found in parse(data, lambda name: environ.get(name), where=".env", **options).items()
    }


def parsed_or_refused(data):
    with contextlib.suppress(EnvFileError):
        parse(data, nothing, where=".env")


def nothing(name):
    return None


@pytest.fixture
def compose(tmp_path):
    """Skip where there is no Compose; in CI that is a failure."""
    if reason := missing():
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return tmp_path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_a_file_means_what_the_table_says(case):
    if case.values is None:
        with pytest.raises(EnvFileError, match=r"\.env:\d+: "):
            read(case.text)
    else:
        assert read(case.text) == case.values


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_compose_confirms_the_table(case, compose):
    (compose / ".env").write_bytes(case.text.encode())
    expected = None if case.values is None else {**case.values, **ENVIRON}
    assert compose_environment(compose, ENVIRON, expected or ENVIRON) == expected


def test_a_comment_in_another_encoding_is_skipped_as_compose_does(compose):
    text = "# für\nA='1' # für\nB=2 # für\n#für".encode("latin-1")
    assert our_environment(text, {}) == {"A": "1", "B": "2"}
    assert differences(text, ENVIRON, compose) is None


def test_compose_reads_random_files_as_we_do(compose):
    chance = random.Random(14)
    files = [random_file(chance) for _ in range(25)]
    assert sum(our_environment(file, ENVIRON) is not None for file in files) > 8
    assert [found for file in files if (found := differences(file, ENVIRON, compose))] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nTRITON_TOKEN='s3cret\nB=2\n", "x.env:2: TRITON_TOKEN: the quote ' is not closed"),
        ("\n\n# c\nTRITON_TOKEN=${s3cret\n", "x.env:4: TRITON_TOKEN: ${ needs a name"),
        ("A='1\n2'\nTRITON TOKEN=s3cret\n", "x.env:3: TRITON TOKEN: a space in a name"),
        ("TRITON@TOKEN=s3cret\n", "x.env:1: TRITON@TOKEN: '@' in a name"),
        ("hf_s3cret/=\n", "x.env:1: '/' in a name"),
        ("A=1\nB=${NO:?set NO to 1}\n", "x.env:2: B: the required variable NO is missing a value: set NO to 1"),
        ("A=1\nB=\0\n", "x.env:2: a NUL character"),
        (b"# \xff\nA=1\nB=s3cret\xff\n", "x.env:3: B: not UTF-8 text"),
        (b"A=1\ns3cret\xff=1\n", "x.env:2: not UTF-8 text"),
    ],
)
def test_what_cannot_be_read_is_named_by_file_line_and_name_and_the_value_is_not_shown(text, message):
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(EnvFileError) as caught:
        parse(data, nothing, where="x.env")
    assert str(caught.value).startswith(message)
    assert "s3cret" not in f"{caught.value}{caught.value.hint}"
    assert caught.value.exit_code == 2


def test_a_variable_knows_its_line_and_which_unset_variables_it_names():
    found = parse(b"# c\nA='x\ny'\n\nB=$NO${NO2}${NO3:-d}\n", nothing, where=".env")
    assert [(name, variable.line, variable.unset) for name, variable in found.items()] == [
        ("A", 2, ()),
        ("B", 5, ("NO", "NO2")),
    ]


def test_a_name_alone_is_refused_where_nothing_can_be_inherited():
    with pytest.raises(EnvFileError, match=r"\.env:2: expected KEY=VALUE"):
        read("A=1\nFROM_ENV\nB=2\n", inherit=False)


VALUES = [
    *("plain", "it's", "a$b", "$$", "'$$(id)${A}", "back\\", "two\\\\", "'\\", 'a"b\\"c', "two\nlines'", "two\nlines"),
    *(
        "#",
        " x ",
        "'$A\\n",
        "`id`",
        "\\n'",
        "\\\\0101'",
        "!x'",
        "a # b'",
        "'\\$A",
        "\t'\r",
        "schlüssel'",
        "~/'",
        "\\`x",
    ),
]


def through_a_shell(folder, text):
    (folder / "env").write_bytes(text.encode())
    command = ["sh", "-c", '. ./env; printf "%s|%s" "$A" "$B"']
    done = subprocess.run(command, cwd=folder, env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)
    return done.stdout.decode()


@pytest.mark.parametrize("value", VALUES)
def test_a_line_that_we_write_is_the_same_value_to_us_and_to_a_shell(value, tmp_path):
    text = f"{format_line('A', value)}\nB=2\n"
    assert read(text) == {"A": value, "B": "2"}
    assert through_a_shell(tmp_path, text) == f"{value}|2"


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(st.text("A=:\n'\"\\$%{}-?+# \r`!~\x85é;&|", min_size=1, max_size=20))
def test_any_value_is_read_alike_or_refused(tmp_path_factory, value):
    try:
        text = f"{format_line('A', value)}\nB=2\n"
    except ValueError:
        assert "`" in value
        return
    assert read(text) == {"A": value, "B": "2"}
    assert through_a_shell(tmp_path_factory.getbasetemp(), text) == f"{value}|2"


def test_lines_that_we_write_are_the_same_values_to_compose(compose):
    values = {f"A{number}": value for number, value in enumerate(VALUES)}
    (compose / ".env").write_text("".join(f"{format_line(*pair)}\n" for pair in values.items()), newline="")
    assert compose_environment(compose, {}, values) == values


@pytest.mark.parametrize("value", ["it's `x`", "`\\"])
def test_a_value_that_no_line_gives_to_all_readers_is_refused(value):
    with pytest.raises(ValueError, match="no line means the same to Compose and to a shell"):
        format_line("A", value)


@pytest.mark.parametrize(
    ("before", "values", "after"),
    [
        ("", {"A": "1"}, "A='1'\n"),
        ("B=2", {"A": "1"}, "B=2\nA='1'\n"),
        ("# c\n  export A = 'old'\nB=$A\n", {"A": "1"}, "# c\n  A='1'\nB=$A\n"),
        ("A: x # why\nB=2\nA=y\n", {"A": "1"}, "B=2\nA='1'\n"),
        ("A='x\nB=3\n'\nB=2\n", {"B": "1"}, "A='x\nB=3\n'\nB='1'\n"),
        ("A='x\nB=3\n'\nB=2\n", {"B": ""}, "A='x\nB=3\n'\n"),
        ("A='1' B='2'\n", {"A": "", "B": "3"}, " B='3'\n"),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "3"}, "A='3'\nB=2\r\n"),
        ("B=2\n", {"A": ""}, "B=2\n"),
        ("AB=2\nB_A=3\n", {"A": "1", "B": "2"}, "AB=2\nB_A=3\nA='1'\nB='2'\n"),
    ],
)
def test_values_are_written_where_their_names_stood_and_nothing_else_changes(before, values, after):
    assert set_values(before.encode(), values, where="env").decode() == after


def test_a_file_that_cannot_be_read_is_not_rewritten():
    with pytest.raises(EnvFileError, match="env:2: B: the quote ' is not closed"):
        set_values(b"A=1\nB='x\n", {"A": "2"}, where="env")


@pytest.mark.parametrize("text", ["A=xxxxxxxxxx\n" + "A=$A$A$A$A\n" * 40, "A=" + "${A-" * 60 + "}" * 60 + "\n"])
def test_values_that_would_grow_without_bound_are_refused(text):
    with pytest.raises(EnvFileError, match=r"\.env:\d+: A: "):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        *("A=b\n" * 5_000_000, "A=b\n" * 200_000, "A='" * 200_000, "A=" + "${A-}" * 100_000, "#\n" * 400_000),
        *(" " * MAX_BYTES, 'A="' + "\\\\" * 300_000, "A=" + "${A-" * 200_000, "A=" + "$A" * 300_000),
    ],
    ids=lambda text: f"{text[:8]!r} {len(text)}",
)
def test_a_large_file_takes_less_than_two_seconds(text):
    data = text.encode()
    started = time.process_time()
    parsed_or_refused(data)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("line", ["A=b\n", "A='b'\nB=$A\n", "#\n"])
def test_a_file_takes_at_most_four_times_its_size_and_50_mb(line):
    data = line.encode() * 20_000
    tracemalloc.start()
    try:
        parsed_or_refused(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data)
    finally:
        tracemalloc.stop()


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.binary(max_size=60) | st.text("A=:\n'\"\\$%{}-?+# \r\0\x85", max_size=60).map(str.encode))
def test_any_bytes_are_values_or_an_error(data):
    parsed_or_refused(data)


def test_a_file_larger_than_one_mebibyte_is_not_read_to_its_end(tmp_path):
    (tmp_path / ".env").write_bytes(b"A=1\n" * MAX_BYTES)
    with pytest.raises(EnvFileError, match="too large: the limit is 1,048,576 bytes"):
        parse(read_bytes(tmp_path / ".env"), nothing, where="it")
