import pytest

from tritonops.triton.startup.load_log import LoadLog, crash_message, stuck_loads

LOADING = 'I1126 23:05:19.985034 11530 model_lifecycle.cc:472] "loading: {name}:1"\n'
NO_FILE = (
    "I1126 23:03:28 7549 pb_stub.cc:2105]  Failed to preinitialize Python stub: Python model file not found in '{}'\n"
)


def test_a_load_without_a_model_file_is_stuck_until_it_begins_again():
    log = LOADING.format(name="a") + LOADING.format(name="b") + NO_FILE.format("/my/triton/a/1/model.py")
    assert list(stuck_loads(log)) == ["a"]
    assert stuck_loads(log + LOADING.format(name="a")) == {}


@pytest.mark.parametrize(
    "words",
    [
        "bash: line 1: /x/a/triton_python_backend_stub: cannot execute binary file: Exec format error",
        "/x/a/triton_python_backend_stub: error while loading shared libraries: libfoo.so: cannot open shared object",
        "bash: /x/a/triton_python_backend_stub: Permission denied",
    ],
)
def test_a_stub_that_does_not_start_is_quoted(words):
    assert words in stuck_loads(f"{LOADING.format(name='a')}{words}\n")["a"]


@pytest.mark.parametrize(
    "line", ["bash: line 1: /x/a/triton_python_backend_stub: Success", "x" * 100_000, "/" * 50_000]
)
def test_other_lines_say_nothing_however_long_they_are(line):
    assert stuck_loads(f"{LOADING.format(name='a')}{line}\n") == {}


def test_a_line_that_comes_in_parts_is_read_as_one():
    following = LoadLog()
    for part in (LOADING.format(name="a"), NO_FILE.format("/t/a/1/mod")[:-3], "x'\n"):
        following.feed(part)
    assert list(following.stuck) == ["a"]


@pytest.mark.parametrize(("signal", "crashing"), [(6, True), (11, True), (15, False), (2, False)])
def test_the_signal_of_a_fault_is_a_crash_and_that_of_a_stop_is_none(signal, crashing):
    following = LoadLog()
    following.feed(f"Signal ({signal}) received.\n")
    assert following.is_crashing is crashing


def test_what_was_thrown_and_what_it_says_are_a_crash_s_words():
    thrown = "terminate called after throwing an instance of 'std::length_error'"
    log = f"I1 x\n{thrown}\n  what():  basic_string\nSignal (6)\n"
    assert (
        crash_message(log)
        == "terminate called after throwing an instance of 'std::length_error', what():  basic_string"
    )
    assert crash_message("I1 x\n") is None


def test_the_last_words_are_the_servers_and_not_those_of_a_models_process_before():
    log = "terminate called after throwing 'its own'\n  what():  a stub's\nI1 x\nterminate called recursively\n"
    assert crash_message(log) == "terminate called recursively"
