"""The services that Triton depends on, started in order, each with its condition."""

import pytest

from tritonops.compose.commands import Compose
from tritonops.compose.depends_on import start_dependencies
from tritonops.errors import ServiceError

COMPLETED, HEALTHY = "service_completed_successfully", "service_healthy"


def services(**depends_on):
    return {
        "triton": {"depends_on": depends_on},
        "fetch": {"depends_on": {"proxy": {"condition": "service_started"}}},
        "proxy": {},
        "cache": {},
        "off": {"scale": 0},
    }


def start(stub, **depends_on):
    lines: list[str] = []
    start_dependencies(stub.docker, Compose(), services(**depends_on), watch=lines.append, timeout=0.3)
    return lines


def commands(stub):
    return [call.removeprefix("compose ") for call in stub.calls if " up " in call]


def test_a_service_that_has_to_end_is_run_after_its_own_dependencies(stub):
    stub.answer("compose ps*", "abc\n")
    stub.answer("wait abc", "0\n")
    lines = start(stub, fetch={"condition": COMPLETED})
    assert commands(stub) == ["up --detach --no-recreate proxy", "up --detach --no-deps fetch"]
    assert lines == ["running fetch, which triton waits for"]


def test_a_service_scaled_to_none_and_one_that_no_profile_enables_are_left_out(stub):
    assert start(stub, off={}, disabled={}) == []
    assert commands(stub) == []


def test_one_that_fails_stops_the_start_with_the_end_of_its_log(stub):
    stub.answer("compose ps*", "abc\n")
    stub.answer("wait abc", "3\n")
    stub.answer("logs*", "no such model\n")
    with pytest.raises(ServiceError, match=r"fetch ended with exit code 3\. Its log ends:\nno such model"):
        start(stub, fetch={"condition": COMPLETED})


def test_one_that_is_not_required_is_a_warning(stub):
    stub.answer("compose ps*", "abc\n")
    stub.answer("wait abc", "3\n")
    lines = start(stub, fetch={"condition": COMPLETED, "required": False})
    assert lines[-1].startswith("warning: triton starts without fetch: fetch ended with exit code 3")


def test_one_that_does_not_end_in_time_is_named_with_its_log(stub):
    stub.answer("compose ps*", "abcdefabcdefabc\n")
    stub._cases.append("  wait*) exec sleep 5;;\n")
    stub._write()
    with pytest.raises(ServiceError, match=r"fetch did not end within 0\.3 s") as raised:
        start(stub, fetch={"condition": COMPLETED})
    assert raised.value.hint == "docker logs abcdefabcdef"


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (("starting", "healthy"), None),
        (("unhealthy",), "cache is unhealthy"),
        (("ended",), "cache is ended"),
        (("starting",), "cache was not healthy after 0.3 s"),
    ],
)
def test_one_that_has_to_be_healthy_is_waited_for(stub, states, message):
    stub.answer("compose ps*", "abc\n")
    stub.answer("inspect*", *(f"{state}\n" for state in states))
    if message is None:
        assert start(stub, cache={"condition": HEALTHY}) == ["waiting until cache is healthy"]
    else:
        with pytest.raises(ServiceError, match=message):
            start(stub, cache={"condition": HEALTHY})
