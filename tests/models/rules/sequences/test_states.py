"""The implicit states of sequences, by themselves, and the files that they begin with."""

import pytest

from tests.models.rules.subjects import codes, config, model_folder, subject
from tritonops.models.rules.sequences.state_files import state_file_problems
from tritonops.models.rules.sequences.states import state_mistakes, state_requests


def states(*initial, dims="3", more=""):
    begun = " ".join(f"initial_state {{ {each} }}" for each in initial)
    state = f'input_name: "s" output_name: "t" data_type: TYPE_FP32 dims: [ {dims} ] {begun} {more}'
    return f"sequence_batching {{ state [ {{ {state} }} ] }}"


ZEROS = 'name: "z" data_type: TYPE_FP32 dims: [ 3 ] zero_data: true'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (states(ZEROS), []),
        (states(ZEROS, dims="-1"), []),
        (states(), []),
        (states(ZEROS, ZEROS), ["2 of `initial_state`"]),
        (states(ZEROS.replace("FP32", "INT8")), ["begins as TYPE_INT8"]),
        (states(ZEROS.replace('name: "z" ', "")), ["no `name`"]),
        (states(ZEROS.replace("[ 3 ]", "[ 1, 3 ]")), ["begins with [1, 3]"]),
        (states(ZEROS.replace("[ 3 ]", "[ -1 ]"), dims="-1"), ["dims [-1]"]),
        (states(ZEROS.replace("[ 3 ]", "[ 4 ]")), ["begins with [4]"]),
        (states(ZEROS.replace("zero_data: true", "")), ["no data"]),
    ],
)
def test_a_beginning_that_triton_refuses_is_found(text, expected):
    found = list(state_mistakes(config(append=text).sequence_batching))
    assert len(found) == len(expected)
    assert all(words in mistake.what for words, mistake in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ("", 0),
        ("use_growable_memory: true", 1),
        ("use_growable_memory: true use_same_buffer_for_input_output: true", 1),
    ],
)
def test_a_state_that_no_sequence_can_begin_with_is_found(more, count):
    assert len(list(state_requests(config(append=states(more=more))))) == count


@pytest.mark.parametrize(("size", "is_refused"), [(None, True), (8, True), (12, False), (16, False)])
def test_a_file_has_to_be_there_and_long_enough(tmp_path, size, is_refused):
    home = model_folder(tmp_path)
    if size is not None:
        (home / "initial_state").mkdir()
        (home / "initial_state" / "begin").write_bytes(bytes(size))
    text = states(ZEROS.replace("zero_data: true", 'data_file: "begin"'))
    assert bool(codes(state_file_problems(subject(append=text, home=home)))) == is_refused
