"""Back-off, by a clock that needs no time."""

import email.utils
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritonops.errors import SourceError
from tritonops.models.http.errors import TransientError
from tritonops.models.http.retries import Retries, format_delay, retry_after


class Clock:
    """A clock that waiting moves."""

    def __init__(self):
        self.time, self.waits = 1000.0, []

    def now(self):
        return self.time

    def wait(self, seconds):
        self.waits.append(seconds)
        self.time += seconds


@pytest.fixture
def clock():
    return Clock()


def retries(clock, **options):
    return Retries(clock, "model.onnx", stall_seconds=30.0, patience_seconds=50.0, **options)


def fail(count, counted, error=None):
    for _ in range(count):
        counted.pause(error or TransientError("connection lost"))


def test_each_wait_is_about_twice_the_last_one(clock):
    fail(5, retries(clock))
    limits = [0.5, 1.0, 2.0, 4.0, 8.0]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(clock.waits, limits, strict=True))


def test_it_gives_up_after_eight_failures_or_when_patience_runs_out(clock):
    with pytest.raises(SourceError, match=r"connection lost; gave up after [678] tries"):
        fail(9, retries(clock))
    assert clock.time - 1000.0 <= 50.0


def test_a_host_that_never_answered_is_tried_four_times(clock):
    with pytest.raises(SourceError, match="gave up after 4 tries") as caught:
        fail(9, retries(clock), TransientError("connection refused", is_first_contact=True))
    assert "HTTPS_PROXY" in str(caught.value.hint)


def test_progress_begins_the_count_again(clock):
    counted = retries(clock)
    fail(4, counted)
    counted.progressed()
    assert not counted.has_failed
    fail(5, counted)
    assert counted.has_failed


def test_what_a_server_asks_for_is_waited_and_gives_a_file_more_time(clock):
    counted = retries(clock)
    fail(2, counted, TransientError("the server answered 429", delay=100.0))
    assert clock.waits == [100.0, 100.0]
    assert counted.seconds == 0.0


def test_a_server_may_ask_for_ten_minutes_in_all(clock):
    with pytest.raises(SourceError, match="and asks to wait 250 seconds; gave up after 3 tries"):
        fail(3, retries(clock), TransientError("the server answered 503", delay=250.0))


def test_a_listing_has_to_be_complete_in_time_whatever_the_server_asks_for(clock):
    counted = retries(clock, is_listing=True)
    assert counted.until == 1050.0
    with pytest.raises(SourceError, match="gave up after one try"):
        fail(1, counted, TransientError("the server answered 503", delay=60.0))


def test_the_next_attempt_has_what_is_left_of_the_patience(clock):
    counted = retries(clock, idle_seconds=45.0)
    assert counted.window == 5.0
    clock.time += 20.0
    assert counted.window == 0.1


def test_all_requests_to_a_host_that_answers_nobody_fail_together(clock):
    late = retries(clock)
    late.share(clock.time - 40.0)
    assert late.seconds == 40.0
    later = retries(clock)
    later.share(clock.time - 400.0)
    assert later.seconds == 49.5  # time for one attempt


def test_a_delay_is_worded():
    assert format_delay(7200) == "7200 seconds"
    assert format_delay(1e300) == "more seconds than anybody has"


def test_retry_after_is_read_as_seconds_or_as_a_date():
    assert retry_after("7") == 7.0
    assert 50 < float(retry_after(email.utils.formatdate(time.time() + 60, usegmt=True)) or 0) <= 60
    assert retry_after(email.utils.formatdate(time.time() - 60, usegmt=True)) == 0.0
    assert retry_after("soon") is None
    assert retry_after(None) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "nan",
        "inf",
        "1e3",
        "²",
        "٣",
        "9" * 5000,
        "Fri, 31 Dec 99999 23:59:59 GMT",
        "soon",
        "0,1",
        "1 1 1",
        "\x00",
    ],
)
def test_a_retry_after_that_is_neither_seconds_nor_a_date_is_passed_over(value):
    assert retry_after(value) is None


def test_a_retry_after_of_any_length_is_a_number():
    assert retry_after("9" * 300) == float("9" * 300)
    assert retry_after(email.utils.formatdate(time.time() - 60, usegmt=True)) == 0.0


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_whatever_a_retry_after_says_is_read_or_passed_over(value):
    retry_after(value)
