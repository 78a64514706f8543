"""An activation that is started, followed, and confirmed, over a connection that may be lost."""

from dataclasses import replace

import pytest

from tests.remote.fakes import DONE, RECORD, FakeHost, inspection
from tritonops.errors import (
    CommandError,
    ConnectionLostError,
    DeployError,
    EnvFileError,
    HostLockedError,
    InputError,
    NotRolledBackError,
    ResultUnknownError,
    RolledBackError,
    UnprovenError,
)
from tritonops.remote.client import activation_log
from tritonops.remote.client.activation_log import activate, confirm_activation, require_unlocked
from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.ssh.host import Output

LOST = ConnectionLostError("gpu-01: the connection was lost")
LOG = f"install alpha\nload alpha\noutcome\t{DONE.as_json()}\n"
STATE = inspect_host(FakeHost(inspection()))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(activation_log, "_PAUSES", (0.0, 0.0, 0.0))


def test_each_line_is_reported_and_the_last_one_is_the_record():
    lines: list[str] = []
    assert activate(FakeHost(LOG), STATE, RECORD.id, kind="deploy", on_step=lines.append) == DONE
    assert lines == ["install alpha", "load alpha"]


def test_after_a_lost_connection_the_rest_of_the_log_is_reported_once():
    class Half(FakeHost):
        def run(self, script, *, on_line=None, **options):
            if len(self.scripts) == 0:
                on_line("install alpha")
            return super().run(script, on_line=on_line, **options)

    host, lines = Half(LOST, LOST, LOG), list[str]()
    assert activate(host, STATE, RECORD.id, kind="deploy", on_step=lines.append) == DONE
    assert [line for line in lines if "lost" not in line] == ["install alpha", "load alpha"]
    assert host.closed == 2
    assert "setsid" in host.scripts[0]
    assert "setsid" not in host.scripts[1]


def test_a_host_that_had_not_begun_changed_nothing():
    host = FakeHost(LOST, Output(44, "", ""))
    with pytest.raises(DeployError, match="before the host began; nothing was changed"):
        activate(host, STATE, RECORD.id, kind="deploy", on_step=lambda line: None)


def test_a_host_that_cannot_be_reached_again_is_unknown():
    with pytest.raises(ResultUnknownError, match="finishes, or rolls back") as caught:
        activate(FakeHost(*[LOST] * 4), STATE, RECORD.id, kind="deploy", on_step=lambda line: None)
    assert "inv remote.status --host gpu-01" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("after", "error"),
    [
        (inspection(), DeployError),
        (inspection('interrupted\t{"from": null, "to": "b", "changed": []}'), ResultUnknownError),
    ],
    ids=["before the switch", "during the switch"],
)
def test_an_activation_that_was_killed_is_worded_by_what_it_left(after, error):
    with pytest.raises(error, match="ended without an outcome") as caught:
        activate(FakeHost("install alpha\n", after), STATE, RECORD.id, kind="deploy", on_step=lambda line: None)
    assert "  install alpha" in str(caught.value)


def test_a_rollback_is_run_by_the_newest_release_and_a_deploy_by_its_own():
    host = FakeHost(LOG, LOG)
    activate(host, STATE, "r000001-abc", kind="rollback", on_step=lambda line: None)
    activate(host, STATE, "r000001-abc", kind="deploy", prune_models=True, on_step=lambda line: None)
    assert f"runner={RECORD.id}\n" in host.scripts[0]
    assert "prune_models=no" in host.scripts[0]
    assert "runner=r000001-abc\n" in host.scripts[1]
    assert "prune_models=yes" in host.scripts[1]


@pytest.mark.parametrize(
    ("result", "error"), [("rolled back", RolledBackError), ("not rolled back", NotRolledBackError), ("?", DeployError)]
)
def test_a_failure_of_the_host_is_raised_as_its_kind(result, error):
    record = replace(DONE, result=result, message="no such model")
    with pytest.raises(error, match="gpu-01: no such model"):
        confirm_activation(FakeHost(), STATE, RECORD, record, "deployed", on_step=lambda line: None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('owner\t{"who": "ann", "since": "2026", "what": "disks", "pid": null}', "gpu-01 is locked by ann"),
        ("owner\t", "another deploy was running: by ann"),
    ],
    ids=["still locked", "unlocked meanwhile"],
)
def test_a_lost_race_for_the_lock_names_its_owner(line, message):
    record = replace(DONE, result="locked", message="by ann")
    with pytest.raises(HostLockedError, match=message):
        confirm_activation(FakeHost(inspection(line)), STATE, RECORD, record, "deployed", on_step=lambda line: None)


def test_a_success_is_confirmed_after_a_lost_connection_and_models_by_hand_are_named(monkeypatch):
    proofs = iter([LOST, "asked from here"])

    def prove(*arguments, **options):
        proof = next(proofs)
        if isinstance(proof, Exception):
            raise proof
        return proof

    monkeypatch.setattr("tritonops.remote.client.proof.prove", prove)
    record, lines = replace(DONE, by_hand=("ensemble",), changed=("alpha",), disabled=("beta",)), list[str]()
    result = confirm_activation(FakeHost(), STATE, RECORD, record, "deployed", on_step=lines.append)
    assert (result.what, result.release, result.proof, result.changed) == (
        "deployed",
        RECORD.id,
        "asked from here",
        ("alpha",),
    )
    assert "warning: not in models.toml: ensemble" in lines[-2]
    assert "warning: disabled on this host, so not served: beta" in lines[-1]
    assert result.disabled == ("beta",)


def test_an_unlocked_host_is_let_pass():
    require_unlocked(FakeHost(), STATE)


@pytest.mark.parametrize(
    "error", [CommandError("docker", 1, "it is gone"), EnvFileError("gpu-01: env:1: bad"), InputError("no")]
)
def test_a_proof_that_could_not_be_taken_is_no_failed_deploy(monkeypatch, error):
    def prove(*arguments, **options):
        raise error

    monkeypatch.setattr("tritonops.remote.client.proof.prove", prove)
    with pytest.raises(UnprovenError, match=f"{RECORD.id} is active, but it could not be proved"):
        confirm_activation(FakeHost(), STATE, RECORD, DONE, "deployed", on_step=lambda line: None)
