"""The seconds of a pod's life."""

import pytest

from tritonops.kubernetes.manifests.timing import CONNECTION_AGE, Timing


def timing(size=0, *, start=None, longest_request=5):
    return Timing.of(size, start=start, longest_request=longest_request)


def test_the_budget_of_a_start_is_a_minute_and_the_time_to_read_all_bytes():
    assert [timing(size).start for size in (0, 1, 5_000_000_000)] == [60, 61, 160]
    assert timing(5_000_000_000, start=7).start == 7
    assert [timing(start=seconds).start_failures for seconds in (1, 5, 6)] == [1, 1, 2]
    assert timing().progress_deadline == 180


def test_the_usual_pod_waits_15_seconds_and_ends_within_60():
    assert (timing().pre_stop, timing().exit_timeout, timing().termination) == (15, 30, 60)


@pytest.mark.parametrize("longest_request", [1, 5, 8, 9, 60, 3600])
def test_a_request_ends_before_its_channel_and_its_channel_before_the_pod(longest_request):
    found = timing(longest_request=longest_request)
    assert found.connection_grace >= longest_request
    assert CONNECTION_AGE + found.connection_grace < found.pre_stop - 5
    assert found.exit_timeout >= longest_request
    assert found.termination > found.pre_stop + found.exit_timeout
