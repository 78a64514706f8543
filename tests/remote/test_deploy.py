from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager

import onnx
import pytest
from tritonclient.grpc import InferenceServerClient

from tests.onnx_models import affine
from tests.remote.project import Site
from tests.remote.sshd import commands_to, wait_until
from tritonops.errors import (
    ConnectionLostError,
    DeployError,
    HostLockedError,
    HostUnreachableError,
    ResultUnknownError,
    RolledBackError,
    UnknownReleaseError,
)
from tritonops.remote.client.checkout import read_checkout
from tritonops.remote.deploy import deploy_checkout
from tritonops.remote.layout.deploy_lock import LockOwner, deploy_lock
from tritonops.remote.layout.paths import Layout
from tritonops.remote.layout.records import LOG_LOST
from tritonops.remote.releases import releases
from tritonops.remote.rollback import roll_back_host
from tritonops.remote.ssh.host import Host
from tritonops.triton.client.client import connect

_scales = iter(range(1000, 2000))


@pytest.fixture
def scale():
    """A number that no model of this module has answered with before."""
    return next(_scales)


def roll_back(site: Site, to: str | None = None):
    with Host("gpu-01", ssh_config=site.fleet.config) as host:
        return roll_back_host(host, to=to, on_step=lambda line: None)


def test_a_deploy_with_nothing_to_do_sends_a_command_or_two_and_changes_nothing(site):
    site.deploy()
    before = site.answers()
    names = sorted(path.name for path in site.servers["gpu-01"].root.glob("releases/*"))
    with Host("gpu-01", ssh_config=site.fleet.config) as host, commands_to(host) as sent:
        result = deploy_checkout(host, site.project, read_checkout(site.clone.folder), on_step=pytest.fail)
    assert result.what == "nothing to do"
    assert len(sent) <= 2  # one more where the server has logged something since, such as the end of an unload
    assert len(sent[0]) < 3800
    assert site.answers() == before
    assert sorted(path.name for path in site.servers["gpu-01"].root.glob("releases/*")) == names


def test_a_new_version_and_its_rollback_fail_no_request(site, scale):
    site.deploy()
    before = site.answers()
    with site.inferring("alpha") as observed:
        site.clone.model("alpha", 2, scale=scale)
        site.clone.commit("alpha 2")
        assert site.deploy().changed == ("alpha",)
        assert site.answers()["alpha"] == scale
        started = time.monotonic()
        assert roll_back(site).what == "rolled back"
        assert time.monotonic() - started < 40  # a second or two; the machine may be busy
        assert site.answers() == before
    assert not observed.failures
    assert observed.answers == {before["alpha"], float(scale)}


def test_the_same_version_with_an_older_file_is_really_served_after_a_rollback(site, scale):
    site.deploy()
    before = site.answers()
    site.serve(alpha=scale, beta=scale)
    site.deploy()
    assert site.answers() == {"alpha": scale, "beta": scale}
    roll_back(site)
    assert site.answers() == before


def test_a_rollback_needs_no_network_and_not_even_the_store(site, scale):
    site.serve(alpha=scale)
    first = site.deploy().release
    site.serve(alpha=scale + 500)
    site.deploy()
    for blob in (site.servers["gpu-01"].root / "shared" / ".store").glob("?" * 64):
        blob.unlink()
    roll_back(site, to=first)
    assert site.answers()["alpha"] == scale


def test_policies_set_with_the_server_running_come_back_with_their_release(site, scale):
    site.serve(alpha=scale)
    site.deploy()
    config = site.servers["gpu-01"].root / "shared/triton/alpha/config.pbtxt"
    edited = config.with_name("config.new")
    edited.write_text(config.read_text() + "\nversion_policy: { specific: { versions: [1] } }\n")
    edited.replace(config)
    site.serve(alpha=scale + 500)
    site.deploy()
    roll_back(site)
    assert "specific" in config.read_text()
    assert site.answers()["alpha"] == scale


def test_a_model_that_is_no_longer_listed_is_unloaded(site, scale):
    site.serve(gamma=scale)
    site.deploy()
    assert site.answers()["gamma"] == scale
    del site.clone.models["gamma"]
    site.clone.write_catalog()
    site.clone.commit("no gamma")
    assert site.deploy().changed == ("gamma",)
    assert "gamma" not in site.answers()


def test_a_load_of_something_else_than_the_disk_is_a_difference_and_the_next_deploy_loads_it_again(site, scale):
    site.serve(alpha=scale)
    site.deploy()
    other = site.clone.folder.parent / "other.onnx"
    onnx.save_model(affine(scale + 500), other)
    load(site, "alpha", OTHER_CONFIG, {"file:1/model.onnx": other.read_bytes()})
    assert (site.answers()["alpha"], max_batch_size(site, "alpha")) == (scale + 500, 4)
    rows = json.loads(site.clone.inv("remote.plan", "--host", "gpu-01", "--json", check=False).stdout)
    assert ("server", "alpha") in [(row["what"], row["name"]) for row in rows]
    assert site.deploy().what == "deployed"
    assert (site.answers()["alpha"], max_batch_size(site, "alpha")) == (scale, 8)
    assert site.deploy().what == "nothing to do"


def test_a_load_that_changes_nothing_is_no_difference(site):
    site.deploy()
    load(site, "alpha")
    assert site.deploy().what == "nothing to do"


def test_a_restart_is_no_difference_and_a_load_after_it_is(site, scale):
    site.serve(alpha=scale)
    site.deploy()
    site.clone.inv("remote.restart", "--host", "gpu-01", "--yes")
    assert site.deploy().what == "nothing to do"
    load(site, "alpha", OTHER_CONFIG)
    assert max_batch_size(site, "alpha") == 4
    rows = json.loads(site.clone.inv("remote.plan", "--host", "gpu-01", "--json", check=False).stdout)
    assert ("server", "alpha") in [(row["what"], row["name"]) for row in rows]
    assert site.deploy().what == "deployed"
    assert (site.answers()["alpha"], max_batch_size(site, "alpha")) == (scale, 8)
    assert site.deploy().what == "nothing to do"


def test_a_server_whose_log_was_removed_is_restarted_since_nobody_would_learn_of_its_loads(site, scale):
    site.serve(alpha=scale)
    site.deploy()
    (site.servers["gpu-01"].root / "shared/.server/triton.log").unlink()
    rows = json.loads(site.clone.inv("remote.plan", "--host", "gpu-01", "--json", check=False).stdout)
    assert ("restart", LOG_LOST) in [(row["what"], row["name"]) for row in rows]
    done = site.deploy()
    assert (done.what, done.restarted) == ("deployed", (LOG_LOST,))
    assert site.deploy().what == "nothing to do"
    load(site, "alpha", OTHER_CONFIG)
    assert site.deploy().what == "deployed"
    assert (site.answers()["alpha"], max_batch_size(site, "alpha")) == (scale, 8)


OTHER_CONFIG = json.dumps(
    {
        "backend": "onnxruntime",
        "max_batch_size": 4,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [3]}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [3]}],
    }
)


def load(site: Site, name: str, config: str | None = None, files: dict[str, bytes] | None = None) -> None:
    """Load a model as any client can."""
    client = InferenceServerClient(f"127.0.0.1:{site.servers['gpu-01'].grpc}")
    client.load_model(name, config=config, files=files)
    client.close()


def max_batch_size(site: Site, name: str) -> int:
    with connect(f"127.0.0.1:{site.servers['gpu-01'].grpc}") as client:
        return client.config(name).max_batch_size


def test_a_rollback_to_a_release_whose_files_were_overwritten_is_refused(site, scale):
    site.serve(alpha=scale)
    first = site.deploy().release
    site.serve(alpha=scale + 500)
    site.deploy()
    before = site.answers()
    model = Layout(site.servers["gpu-01"].root).release(first).models_dir / "alpha/1/model.onnx"
    mode = model.stat().st_mode
    model.chmod(0o644)
    with model.open("r+b") as file:
        content = file.read()
        file.seek(0)
        file.write(content[:-1] + bytes([content[-1] ^ 1]))
    model.chmod(mode)
    with pytest.raises(DeployError, match=r"differs from models\.lock") as caught:
        roll_back(site, to=first)
    assert not isinstance(caught.value, RolledBackError)
    assert site.answers() == before


def test_a_config_that_triton_would_refuse_is_found_before_anything_is_touched(site, scale):
    site.deploy()
    before = site.answers()
    with broken(site, lambda text: text.replace('name: "x"', 'name: "no_such_input"')):
        with pytest.raises(DeployError, match="no_such_input") as caught:
            site.deploy()
        assert not isinstance(caught.value, RolledBackError)
    assert site.answers() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"smoke\.json, line 1"),
        ('{"outputs": {"y": [[1, 1, 1]]}, "output": 1}', "unknown key 'output'"),
        ("{}", "expects nothing"),
        ('{"inputs": "no-such.json", "outputs": {"y": [[1, 1, 1]]}}', r"no-such\.json"),
        ('{"inputs": "smoke.npz", "outputs": {"y": [[1, 1, 1]]}}', r"smoke\.npz"),
    ],
)
def test_a_smoke_test_that_cannot_be_run_is_found_before_the_switch(site, scale, text, message):
    site.deploy()
    before = site.answers()
    folder = site.clone.folder / "triton-config/alpha"
    (folder / "smoke.json").write_text(text)
    (folder / "smoke.npz").write_text("no archive")
    site.serve(alpha=scale)
    try:
        with pytest.raises(DeployError, match=message) as caught:
            site.deploy()
        assert not isinstance(caught.value, RolledBackError)
        assert site.answers() == before
    finally:
        (folder / "smoke.json").unlink()
        (folder / "smoke.npz").unlink()
        site.clone.commit("no smoke test")


def test_a_model_that_does_not_load_is_refused_with_tritons_words(site, scale):
    site.deploy()
    before = site.answers()
    site.serve(alpha=scale)
    with broken(site, lambda text: f"{text}{REFUSED}"):
        with pytest.raises(DeployError, match="canonical path"):
            site.deploy()
        failed = failed_release(site)
        assert site.answers() == before
    assert site.deploy().changed == ("alpha",)
    assert site.answers()["alpha"] == scale
    with pytest.raises(UnknownReleaseError):
        roll_back(site, to=failed)


def test_a_model_that_answers_wrong_is_refused(site, scale):
    site.deploy()
    before = site.answers()
    smoke = site.clone.folder / "triton-config/alpha/smoke.json"
    smoke.write_text(json.dumps({"inputs": {"x": [[1, 1, 1]]}, "outputs": {"y": [[scale, scale, scale]]}}))
    site.serve(alpha=scale + 500)
    with pytest.raises(DeployError, match="smoke tests failed"):
        site.deploy()
    assert site.answers() == before
    site.serve(alpha=scale)
    site.deploy()
    assert site.answers()["alpha"] == scale
    smoke.unlink()
    site.clone.commit("no smoke test")


# What `models.check` has no objection to, since only the embedded ONNX backend is one in Python, with an environment.
REFUSED = """
parameters { key: "EXECUTION_ENV_PATH" value: { string_value: "/nonexistent/env.tar.gz" } }
"""


@contextmanager
def broken(site: Site, change):
    """Commit a config of beta that is invalid, and fix it afterwards."""
    config = site.clone.folder / "triton-config/beta/cpu.pbtxt"
    good = config.read_text()
    config.write_text(change(good))
    site.clone.commit("beta is broken")
    try:
        yield
    finally:
        config.write_text(good)
        site.clone.commit("beta is fixed")


def failed_release(site: Site) -> str:
    with Host("gpu-01", ssh_config=site.fleet.config) as host:
        newest = releases(host)[-1]
    assert newest.activation
    assert newest.activation.result == "failed"
    return newest.record.id


def test_a_rollback_to_a_release_that_is_not_there_is_refused(site):
    with pytest.raises(UnknownReleaseError, match="no release '2000"):
        roll_back(site, to="20000101T000000Z-0000000")


@pytest.mark.parametrize(
    "step",
    [
        *("upload", "keep what", "check the models", "install", "load"),
    ],
)
def test_a_connection_cut_at_any_step_leaves_the_old_release_or_the_new_one_and_no_mix(site, scale, step):
    server, before = site.servers["gpu-01"], site.answers()
    site.serve(alpha=scale, beta=scale)
    cut: list[int] = []

    def on_step(line: str) -> None:
        if line.startswith(step) and not cut:
            cut.append(server.cut())

    try:
        result = site.deploy(on_step=on_step)
    except (ConnectionLostError, HostUnreachableError, ResultUnknownError):
        assert {name: site.answers()[name] for name in before} == before
    else:
        assert result.what == "deployed"
        assert site.answers() == {**before, "alpha": scale, "beta": scale}
    assert cut == [1]
    assert site.deploy().what in ("deployed", "nothing to do")
    assert site.answers() == {**before, "alpha": scale, "beta": scale}


def test_a_host_that_cannot_be_reached_again_finishes_by_itself(site, scale):
    server = site.servers["gpu-01"]
    site.serve(alpha=scale, beta=scale)
    with pytest.raises(ResultUnknownError, match="finishes, or rolls back"):
        site.deploy(on_step=lambda line: server.stop() if line == "download models" else None)
    server.start()
    wait_until(lambda: site.answers()["beta"] == scale, "the host to finish", timeout=120)
    wait_until(lambda: not (server.root / "lock").read_text(), "the lock to be free", timeout=120)
    assert site.deploy().what == "nothing to do"
    assert site.answers()["alpha"] == scale


@pytest.mark.parametrize("line", ["check the host", "download models"])
def test_a_killed_deploy_leaves_the_host_whole_and_the_next_one_succeeds(site, scale, line):
    server, before = site.servers["gpu-01"], site.answers()
    site.serve(alpha=scale, beta=scale)
    command = [str(site.clone.folder / "inv"), "remote.deploy", "--host", "gpu-01"]
    with subprocess.Popen(command, env=site.clone.environment, stderr=subprocess.PIPE, text=True) as process:
        assert any(line in written for written in process.stderr or ())
        process.kill()
    assert site.answers() in (before, {**before, "alpha": scale, "beta": scale})
    wait_until(
        lambda: not (server.root / "lock").exists() or not (server.root / "lock").read_text(),
        "a free lock",
        timeout=120,
    )
    site.deploy()
    assert site.answers() == {**before, "alpha": scale, "beta": scale}


def test_ctrl_c_ends_the_client_at_once_and_the_host_finishes(site, scale):
    site.deploy()
    before = site.answers()
    site.serve(alpha=scale, beta=scale)
    command = [str(site.clone.folder / "inv"), "remote.deploy", "--host", "gpu-01"]
    with subprocess.Popen(command, env=site.clone.environment, stderr=subprocess.PIPE, text=True) as process:
        assert any("keep what" in written for written in process.stderr or ())
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read() if process.stderr else ""
    assert process.returncode == 130
    assert "Traceback" not in errors
    wait_until(lambda: not (site.servers["gpu-01"].root / "lock").read_text(), "a free lock", timeout=120)
    assert site.answers() == {**before, "alpha": scale, "beta": scale}


def test_two_deploys_at_once_the_second_is_told_who_is_first(site, scale):
    site.serve(alpha=scale)
    refusals = []

    def second(line: str) -> None:
        if line == "download models":
            with pytest.raises(HostLockedError, match=r"gpu-01 is locked by .*@.*, since .*: deploy of") as caught:
                site.deploy()
            refusals.append(caught.value)

    site.deploy(on_step=second)
    assert len(refusals) == 1
    assert site.answers()["alpha"] == scale


def test_a_race_for_the_lock_that_is_lost_is_locked_and_not_failed(site, scale):
    site.deploy()
    before = site.answers()
    site.serve(alpha=scale)
    winner = LockOwner("winner@laptop", "2026-01-01T00:00:00Z", "deploy", os.getpid())
    with ExitStack() as stack:

        def begin(line: str) -> None:
            if line.startswith("upload"):
                stack.enter_context(deploy_lock(site.servers["gpu-01"].root / "lock", winner))

        with pytest.raises(HostLockedError, match="winner@laptop"):
            site.deploy(on_step=begin)
    assert site.answers() == before
    last = json.loads((site.servers["gpu-01"].root / "audit.log").read_text().splitlines()[-1])
    assert last["result"] == "locked"
    site.deploy()


@pytest.mark.slow
def test_a_deploy_of_which_nothing_is_heard_again_is_unknown_and_says_how_to_look(site, scale):
    site.deploy()
    server = site.servers["gpu-01"]
    site.serve(alpha=scale)
    command = [str(site.clone.folder / "inv"), "remote.deploy", "--host", "gpu-01", "--json"]
    environment = site.clone.environment
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: (server.root / "lock").read_text(), "the activation to begin", timeout=60)
        server.stop()
        out, err = process.communicate(timeout=120)
    server.start()
    (row,) = json.loads(out)
    assert (process.returncode, row["result"]) == (1, "unknown")
    assert "inv remote.status --host gpu-01" in err
    wait_until(lambda: not (server.root / "lock").read_text(), "a free lock", timeout=120)
    assert site.deploy().what == "nothing to do"
    assert site.answers()["alpha"] == scale


def test_a_killed_activation_is_rolled_back_by_the_next_deploy(site, scale):
    server, before = site.servers["gpu-01"], site.answers()
    site.serve(alpha=scale, beta=scale)
    with pytest.raises(ResultUnknownError, match="without an outcome, while it switched"):
        site.deploy(on_step=lambda line: kill_activation(server) if line == "load beta" else None)
    assert (server.root / "shared/switching.json").exists()
    lines: list[str] = []
    site.serve(alpha=scale + 500)
    site.deploy(on_step=lines.append)
    assert any("was interrupted: go back" in line for line in lines)
    assert site.answers() == {**before, "alpha": scale + 500, "beta": scale}


def kill_activation(server) -> None:
    os.kill(json.loads((server.root / "lock").read_text())["pid"], signal.SIGKILL)


def test_the_audit_log_says_who_did_what_and_what_came_of_it(site, scale):
    site.serve(alpha=scale)
    release = site.deploy().release
    lines = [json.loads(line) for line in (site.servers["gpu-01"].root / "audit.log").read_text().splitlines()]
    assert lines[-1]["release"] == release
    assert (lines[-1]["what"], lines[-1]["result"], lines[-1]["changed"]) == ("deploy", "done", ["alpha"])
    assert "@" in lines[-1]["by"]
