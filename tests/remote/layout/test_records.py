"""Records on a host, written by this version or an earlier one."""

import json
from dataclasses import asdict

import pytest

from tritonops.remote.layout.records import (
    ActivationRecord,
    RecordedLoad,
    ReleaseRecord,
    StartRecord,
    SwitchRecord,
    recorded_loads,
)

LOAD = RecordedLoad("files", "seal", "config", "2026", "pid 7, started 8")
RELEASE = {"id": "r1", "commit": "abc", "subject": "s", "fingerprint": "f", "by": "me", "at": "2026"}


def test_an_activation_is_read_back_as_it_was_written():
    record = ActivationRecord(
        "done", "2026", 1.5, served=(("alpha", 1),), changed=("alpha",), loads={"alpha": asdict(LOAD)}, gap=0.5
    )
    assert ActivationRecord.parse(record.as_json()) == record
    assert recorded_loads(record) == {"alpha": LOAD}


def test_the_keys_of_a_record_are_those_that_earlier_versions_read():
    assert list(json.loads(ActivationRecord("done", "2026").as_json())) == [
        *("result", "at", "seconds", "message", "served", "disk", "env", "changed", "by_hand", "pruned", "seal"),
        *("loads", "before", "restarted", "gap", "log_end", "loaded_at", "disabled"),
    ]
    assert list(asdict(ReleaseRecord(**RELEASE))) == [
        *("id", "commit", "subject", "fingerprint", "by", "at", "config", "runtime", "venv", "digest"),
    ]


def test_a_record_of_an_earlier_version_has_fewer_keys_and_other_words():
    record = ActivationRecord.parse('{"result": "put back", "at": "2020"}')
    assert (record.result, record.before, record.seal) == ("rolled back", None, "")


def test_loads_of_another_version_are_none():
    assert recorded_loads(None) == {}
    assert recorded_loads(ActivationRecord("done", "2026", loads={"alpha": {"files": "x"}})) == {}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"result": 1, "at": "2026"}', '{"at": "2026"}'])
def test_what_is_no_record_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 - its callers word it
        ActivationRecord.parse(text)


def test_a_switch_and_the_options_of_a_release():
    assert SwitchRecord.parse('{"from": null, "to": "r2", "changed": ["a"], "at": "x"}') == SwitchRecord("r2", ("a",))
    assert ReleaseRecord(**RELEASE, config="cpu").compose_options == ["--cpu"]
    assert ReleaseRecord(**RELEASE, config="cpu", runtime="embedded").compose_options == []


def reasons(before, after):
    return StartRecord(before).reasons(after)


def test_an_equal_definition_is_no_reason_and_a_part_is_named():
    assert reasons({"a": "1", "b": "2"}, {"a": "1", "b": "2"}) == ()
    assert reasons({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ("b", "c")
    assert reasons({"image": "x:1"}, {"image": "x:2"}) == ("image: x:1 → x:2",)


@pytest.mark.parametrize("text", ["0" * 64, "{", '{"parts": 1}'])
def test_a_record_of_an_earlier_version_is_a_reason_itself(text):
    assert StartRecord.parse(text).reasons({"a": "1"}) == ("an earlier version of this project started it",)
