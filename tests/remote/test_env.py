"""The env file of a host, written over stdin and compared before it is replaced."""

import base64

import pytest

from tests.remote.fakes import FakeHost
from tritonops.errors import CommandError, EnvFileError, InputError, SettingsError, TritonOpsError
from tritonops.remote.env import names_set, parse_values, set_values
from tritonops.remote.ssh.host import Output


def encoded(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", InputError, "no values were given"),
        (b"lower=x\n", InputError, "stdin:1: expected a key in capitals"),
        (b"KEY=a$b\n", EnvFileError, "stdin:1: KEY: not set: b"),
        (b'KEY="it\'s `x`"\n', InputError, "stdin:1: KEY: a single quote and a backtick"),
        (b"MODELS_TOML=models.prod.toml\n", EnvFileError, "stdin:1: MODELS_TOML belongs to the release"),
        (b"TRITON_STORE_DIR=/var/store\n", EnvFileError, "TRITON_STORE_DIR belongs to the release"),
        (b"TRITON_BIND=here\n", SettingsError, "TRITON_BIND='here' in stdin:1"),
    ],
)
def test_values_are_refused_with_their_line(data, error, message):
    with pytest.raises(error, match=message):
        parse_values(data, where="stdin")


def test_values_are_read_as_compose_reads_them():
    assert parse_values(b"A='it $x'\nB=\"$$5\"\nC=\n", where="stdin") == {"A": "it $x", "B": "$5", "C": ""}


def test_a_value_takes_the_place_of_its_key_and_an_empty_one_removes_it():
    host = FakeHost(encoded("A=1\nB=2\n"), encoded("A='3'\n"))
    set_values(host, {"A": "3", "B": ""})
    assert f"content={encoded(chr(65) + '=' + chr(39) + '3' + chr(39) + chr(10))}" in host.scripts[1].replace("'", "")


def test_a_change_meanwhile_is_refused_and_an_error_of_the_host_passed_on():
    for output in (Output(45, "", ""), Output(0, encoded("other"), "")):
        with pytest.raises(TritonOpsError, match="another command changed the env file"):
            set_values(FakeHost(encoded("A=1\n"), output), {"A": "2"})
    with pytest.raises(CommandError, match="read-only"):
        set_values(FakeHost(encoded("A=1\n"), Output(1, "", "read-only")), {"A": "2"})


def test_a_line_that_stays_may_not_name_a_key_that_goes():
    host = FakeHost(encoded("B=2\nTRITON_TOKEN=$B\n"))
    with pytest.raises(EnvFileError, match="TRITON_TOKEN: not set in this file: B"):
        set_values(host, {"B": ""})
    assert len(host.scripts) == 1


def test_a_name_that_belongs_to_releases_can_be_removed():
    host = FakeHost(encoded("TRITON_MODELS_DIR=/x\nB=2\n"), encoded("B=2\n"))
    set_values(host, parse_values(b"TRITON_MODELS_DIR=\n", where="stdin"))
    assert len(host.scripts) == 2


def test_only_the_keys_are_listed():
    assert names_set(FakeHost(encoded("A=secret\nB='x'\n"))) == ["A", "B"]
