"""The state of a host, from the answers of its shell."""

import hashlib
from dataclasses import replace

import pytest

from tests.remote.fakes import DONE, RECORD, FakeHost, inspection
from tritonops.errors import CommandError, EnvFileError, SettingsError, TritonOpsError
from tritonops.remote.client.host_state import inspect_host, loads_since_activation, parse_inspection
from tritonops.remote.layout.records import ActivationRecord
from tritonops.remote.ssh.host import Output


def test_a_host_that_serves(tmp_path):
    host = FakeHost(
        inspection("is_listed\tyes", "model\tensemble", env="TRITON_EXPOSE_GRPC=9001\nTRITON_TOKEN=secret\n")
    )
    state = inspect_host(host)
    assert (state.root, state.current, state.release, state.activation) == (
        "/home/me/tritonops",
        RECORD.id,
        RECORD,
        DONE,
    )
    assert (state.grpc_port, state.http_port, state.token, state.free) == (9001, 8000, "secret", 1_024_000)
    assert (state.by_hand, state.disabled) == (("ensemble",), ())
    assert state.is_unchanged
    assert "secret" not in repr(state)


@pytest.mark.parametrize(("folder", "root"), [("tritonops", "/home/me/tritonops"), ("/srv/t", "/srv/t")])
def test_a_host_without_any_release(folder, root):
    host = FakeHost("home\t/home/me\n")
    host.folder = folder
    state = inspect_host(host)
    assert (state.root, state.current, state.release, state.activation) == (root, None, None, None)
    assert not state.is_unchanged


def test_the_ports_are_those_of_the_current_release_and_the_image_that_of_the_next():
    current = ("served_env\tTRITON_EXPOSE_GRPC=9001", "served_env\tTRITON_IMAGE=old")
    host = FakeHost(inspection(*current, env="TRITON_EXPOSE_GRPC=9002\nTRITON_IMAGE=new\n"))
    state = inspect_host(host)
    assert (state.grpc_port, state.image) == (9001, "new")


FILES = (
    "shared/triton\talpha/1/model.onnx 1 2 3.5 4.5",
    "shared/triton-disabled\talpha/1/__pycache__/x.pyc 5 6 7.5 8.5",
    "shared/.server/triton.log\t 77 88 9.5 9.5",
)
SEAL = hashlib.sha256(b"alpha/1/model.onnx 1 2 3.5 4.5\n").hexdigest()[:16]
DISK = hashlib.sha256(b"alpha/1/__pycache__/x.pyc 5 6 7.5\nalpha/1/model.onnx 1 2 3.5\n").hexdigest()[:16]


@pytest.mark.parametrize(
    ("activation", "unchanged"),
    [
        (replace(DONE, seal=SEAL), True),
        (DONE, False),
        (ActivationRecord("done", "2026", disk=DISK), True),
        (ActivationRecord("done", "2026", disk="other"), False),
    ],
    ids=["sealed", "changed", "record of an earlier version", "changed since an earlier version"],
)
def test_the_repository_is_unchanged_by_its_seal_or_in_old_records_by_its_digest(activation, unchanged):
    assert inspect_host(FakeHost(inspection(files=FILES, activation=activation))).is_unchanged is unchanged


@pytest.mark.parametrize(
    ("lines", "owner"),
    [
        (['owner\t{"who": "ann", "since": "2026", "what": "disks", "pid": null}'], "ann"),
        (['owner\t{"who": "ann", "since": "2026", "what": "deploy", "pid": 7}', "locked\tyes"], "ann"),
        (['owner\t{"who": "ann", "since": "2026", "what": "deploy", "pid": 7}'], None),
        (["owner\t"], None),
    ],
    ids=["a person", "a running deploy", "a deploy that died", "nobody"],
)
def test_the_owner_of_the_lock(lines, owner):
    state = inspect_host(FakeHost(inspection(*lines)))
    assert (state.lock_owner.who if state.lock_owner else None) == owner


def test_a_log_that_the_server_does_not_write_any_more_is_known():
    assert not inspect_host(FakeHost(inspection())).is_log_lost
    assert inspect_host(FakeHost(inspection("log_lost\tyes"))).is_log_lost


def test_an_interrupted_switch_and_how_triton_was_started():
    switch = '{"from": "a", "to": "b", "changed": [], "at": "2026"}'
    state = inspect_host(FakeHost(inspection(f"interrupted\t{switch}", 'started\t{"parts": {"image": "x"}}')))
    assert state.interrupted == "b"
    assert state.started is not None
    assert state.started.parts == {"image": "x"}


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ("", TritonOpsError, "gpu-01: the records in tritonops there cannot be read"),
        (inspection("interrupted\t{"), TritonOpsError, "cannot be read"),
        (inspection().partition("\0")[0], TritonOpsError, "the answer is not complete"),
        (inspection(env="TRITON_TOKEN=a$b\n"), EnvFileError, "gpu-01: env:1: TRITON_TOKEN: not set in this file: b"),
        (inspection(env="TRITON_URL=other:8001\n"), EnvFileError, "gpu-01: env:1: TRITON_URL belongs to the release"),
        (inspection(env="TRITON_BIND=x\n"), SettingsError, "TRITON_BIND='x' in gpu-01: env:1"),
    ],
)
def test_records_that_make_no_sense_are_named(output, error, message):
    with pytest.raises(error, match=message):
        inspect_host(FakeHost(output))


@pytest.mark.parametrize(
    "damaged", ["", "{", "0\x00", "[]", '{"result": 1}', "{}\n{}", "\udcff", "\nenv:\nTRITON_TOKEN=x"]
)
def test_a_damaged_record_of_an_activation_is_as_unknown_as_a_missing_one(damaged):
    state = inspect_host(FakeHost(inspection(activation=None).replace("\0env:\n", f"{damaged}\0env:\n")))
    assert (state.release, state.activation, state.is_unchanged) == (RECORD, None, False)


LOADED = replace(DONE, loads={"alpha": {}, "be ta": {}}, loaded_at="2026-11-30T00:00:00Z", log_end="77:88")
COMPOSE = replace(RECORD, runtime="compose")


@pytest.mark.parametrize(
    ("release", "activation", "files", "found"),
    [
        (RECORD, LOADED, FILES, ()),
        (RECORD, replace(LOADED, log_end="77:80"), FILES, ("be ta",)),
        (RECORD, LOADED, (), ("be ta",)),
        (COMPOSE, LOADED, FILES, ("be ta",)),
        (RECORD, replace(LOADED, loaded_at="", log_end=""), FILES, ()),
        (None, LOADED, FILES, ()),
    ],
    ids=["nothing was logged", "logged", "no log", "Compose", "a record of an earlier version", "no release"],
)
def test_the_releases_own_models_that_another_command_loaded_since_are_named(release, activation, files, found):
    host = FakeHost(inspection(release=release, activation=activation, files=files), "be ta\nby_hand\n")
    assert loads_since_activation(host, inspect_host(host)) == found
    assert len(host.outputs) == (not found)


def test_a_name_that_belongs_to_releases_may_be_in_the_env_of_a_release_of_an_earlier_version():
    copy = ("served_env\tMODELS_TOML=other.toml", "served_env\tTRITON_EXPOSE_GRPC=9001")
    assert inspect_host(FakeHost(inspection(*copy))).grpc_port == 9001


def test_an_env_file_arrives_as_it_is():
    env = "A='\x0c\u2028\r\n'\nenv:\nB=\0\0x"
    host = FakeHost(inspection("model\t\udcff", "is_listed\tyes", env="OWN='a\tb\n'"))
    state = inspect_host(host)
    assert (state.env_values, state.by_hand) == ({"OWN": "a\tb\n"}, ("\ufffd",))
    assert parse_inspection(inspection(env=env)).env == env.encode()
    assert parse_inspection(inspection(env="\udcff")).env == b"\xff"


def test_a_failure_is_shown_without_the_env_file():
    with pytest.raises(CommandError) as raised:
        inspect_host(FakeHost(Output(1, inspection(env="TRITON_TOKEN=secret\n"), "")))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("recorded", [{}, {"seal": "", "disk": DONE.seal}, {"seal": "", "disk": ""}])
def test_models_without_any_file_have_changed_whatever_was_recorded(recorded):
    done = replace(DONE, **recorded)
    state = inspect_host(FakeHost(inspection("is_listed\tyes", "listed\talpha", "model\talpha", activation=done)))
    assert not state.is_unchanged
