"""The tasks as a person runs them, against one host that serves."""

from __future__ import annotations

import json
import os
import stat
import subprocess

import pytest

from tritonops.dotenv import parse

HOST = ("--host", "gpu-01")


@pytest.fixture
def inv(site):
    """Run a task in the clone, against a host that serves what the clone says."""
    site.deploy()
    return site.clone.inv


def test_secrets_go_from_stdin_to_a_file_that_only_its_owner_reads_and_are_never_shown(site, inv):
    done = inv("remote.env", *HOST, stdin="HF_TOKEN=hf_very_secret\nOTHER=1\n")
    path = site.servers["gpu-01"].root / "env"
    assert "HF_TOKEN='hf_very_secret'\n" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    listed = inv("remote.env", *HOST, "--names")
    assert "HF_TOKEN" in listed.stdout
    assert "TRITON_EXPOSE_GRPC" in listed.stdout
    assert "hf_very_secret" not in done.stdout + done.stderr + listed.stdout + listed.stderr
    inv("remote.env", *HOST, stdin="HF_TOKEN=\nOTHER=\n")
    assert "HF_TOKEN" not in path.read_text()
    assert "TRITON_EXPOSE_GRPC" in path.read_text()


@pytest.mark.parametrize(
    "text",
    ["", "not a line", "SECRET_ALONE\n", "lower=secret", "KEY='secret", "KEY=secret$dollar"],
    ids=["nothing", "no =", "no value", "lower", "quote", "unset"],
)
def test_what_is_not_key_value_is_refused_without_showing_it(inv, text):
    done = inv("remote.env", *HOST, stdin=text, check=False)
    assert done.returncode == 2
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_any_value_reaches_the_host_and_is_read_there_as_it_was_given(site, inv):
    path = site.servers["gpu-01"].root / "env"
    before = path.read_text()
    path.write_text(f"export ONE='old'\nTWO: old\n{before}")
    inv("remote.env", *HOST, stdin='ONE="it\'s $$5"\nTWO=\'back\\\\\'\nTHREE="a\\nb" # c\n')
    found = parse(path.read_bytes(), lambda _: None, where="env")
    assert [found[name].value for name in ("ONE", "TWO", "THREE")] == ["it's $5", "back\\\\", "a\nb"]
    assert "old" not in path.read_text()
    listed = inv("remote.env", *HOST, "--names").stdout.split()
    assert {"ONE", "TWO", "THREE"} <= set(listed)
    inv("remote.env", *HOST, stdin="ONE=\nTWO=\nTHREE=\n")
    assert path.read_text() == before


def test_an_env_file_that_compose_on_the_host_would_refuse_is_named_by_host_and_line(site, inv):
    path = site.servers["gpu-01"].root / "env"
    before = path.read_text()
    path.write_text(f"{before}TRITON_TOKEN='s3cret\n")
    done = inv("remote.status", *HOST, check=False)
    path.write_text(before)
    assert done.returncode
    assert f"gpu-01: env:{before.count(chr(10)) + 1}: TRITON_TOKEN: the quote ' is not closed" in done.stderr
    assert "s3cret" not in done.stderr


def test_status_releases_and_audit_agree_on_what_serves(site, inv):
    (status,) = json.loads(inv("remote.status", *HOST, "--json").stdout)
    assert (status["triton"], status["served"]) == ("up", status["expected"])
    kept = json.loads(inv("remote.releases", *HOST, "--json").stdout)
    assert [release["id"] for release in kept if release["current"]] == [status["release"]]
    last = json.loads(inv("remote.audit", *HOST, "--json").stdout)[-1]
    assert (last["host"], last["release"], last["result"]) == ("gpu-01", status["release"], "done")


def test_records_of_an_earlier_version_are_shown_in_the_words_of_today(site, inv):
    root = site.servers["gpu-01"].root
    old = root / "releases/20200101T000000Z-abc"
    old.mkdir()
    facts = {"id": old.name, "commit": "abc", "subject": "s", "fingerprint": "f", "by": "me", "at": "2020"}
    (old / "release.json").write_text(json.dumps(facts))
    (old / "outcome.json").write_text('{"result": "put back", "at": "2020"}')
    with (root / "audit.log").open("a") as log:
        log.write('{"at": "2020", "by": "me", "what": "deploy", "release": "abc", "result": "put back"}\n')
    kept = json.loads(inv("remote.releases", *HOST, "--json").stdout)
    assert [release["result"] for release in kept if release["id"] == old.name] == ["rolled back"]
    assert json.loads(inv("remote.audit", *HOST, "--json").stdout)[-1]["result"] == "rolled back"


def test_logs_show_the_server_and_the_deploy(inv):
    assert "Started GRPCInferenceService" in inv("remote.logs", *HOST, "--lines", "1000").stdout
    assert "download models" in inv("remote.logs", *HOST, "--deploy").stdout


def test_a_task_runs_on_the_host_and_its_exit_code_comes_back(inv):
    assert "alpha" in inv("remote.run", *HOST, "--", "triton.list").stdout
    done = inv("remote.run", *HOST, "--", "triton.load", "no_such_model", check=False)
    assert done.returncode == 1
    assert "exit 2" in done.stderr
    assert "no_such_model" in done.stderr


def test_a_release_runs_with_its_own_environment_whatever_its_caller_has(site, inv):
    """Going back runs the tasks of another release than the one that failed."""
    others = {"TRITONOPS_VENV": "/nowhere", "TRITON_MODELS_DIR": "/nowhere", "TRITONOPS_REQUIREMENTS": "dev"}
    command = [str(site.servers["gpu-01"].root / "inv"), "triton.list"]
    done = subprocess.run(command, env={**os.environ, **others}, capture_output=True, text=True, check=True)
    assert "alpha" in done.stdout


def test_run_without_a_task_says_how(inv):
    done = inv("remote.run", *HOST, check=False)
    assert done.returncode == 2
    assert "remote.run --host gpu-01 -- triton.list" in done.stderr


def test_a_host_held_by_hand_takes_no_deploy_until_it_is_given_free(site, inv):
    inv("remote.lock", *HOST, "--hold", "new disks")
    try:
        assert "new disks" in inv("remote.lock", *HOST).stdout
        site.serve(delta=7)
        done = inv("remote.deploy", *HOST, check=False)
        assert done.returncode == 1
        assert "new disks" in done.stderr
        assert "remote.lock --host gpu-01 --release" in done.stderr
        assert inv("remote.lock", *HOST, "--release", check=False).returncode == 2
    finally:
        inv("remote.lock", *HOST, "--release", "--yes")
    assert site.deploy().what == "deployed"


def test_a_restart_serves_the_same_again(site, inv):
    before = site.answers()
    assert inv("remote.restart", *HOST, check=False).returncode == 2
    inv("remote.restart", *HOST, "--yes")
    assert site.answers() == before


def test_doctor_names_each_check(inv):
    done = inv("remote.doctor", *HOST, "--json", check=False)
    states = {row["check"]: row["state"] for row in json.loads(done.stdout)}
    assert states["rsync"] == states["python"] == states["disk"] == states["clock"] == states["ports"] == "ok"
    assert states["gpu"] == states["compose"] == "not asked"


def test_plan_says_what_a_deploy_would_change_and_then_that_nothing_would(site, inv):
    site.serve(alpha=4321)
    done = inv("remote.plan", *HOST, "--json", check=False)
    assert done.returncode == 4
    changes = {(row["what"], row["name"]) for row in json.loads(done.stdout)}
    assert ("file", "models/alpha-1-4321.onnx") in changes
    assert inv("remote.deploy", *HOST, "--dry-run", check=False).returncode == 4
    (row,) = json.loads(inv("remote.deploy", *HOST, "--json").stdout)
    assert (row["result"], row["changed"]) == ("deployed", ["alpha"])
    assert inv("remote.plan", *HOST).stderr.endswith("nothing to do\n")


def test_plan_tells_what_somebody_changed_on_the_host_itself(site, inv):
    config = site.servers["gpu-01"].root / "shared/triton/alpha/config.pbtxt"
    edited = config.with_name("config.new")
    edited.write_text(config.read_text() + "\n# by hand\n")
    edited.replace(config)
    assert "changed on the host" in inv("remote.plan", *HOST, check=False).stdout
    inv("remote.deploy", *HOST)
    assert "by hand" not in config.read_text()


def test_a_host_of_which_nobody_knows_anything_exits_3(inv):
    done = inv("remote.status", "--host", "no-such-host.invalid", check=False)
    assert done.returncode == 3
    assert "not a known host name" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--group", "nope")], ids=["no host", "no such group"])
def test_no_host_or_an_unknown_group_is_wrong_input(inv, arguments):
    done = inv("remote.deploy", *arguments, check=False)
    assert done.returncode == 2
    assert "hint:" in done.stderr


def test_triton_tasks_reach_a_host_through_the_tunnel(site, inv):
    rows = json.loads(inv("triton.list", *HOST, "--json").stdout)
    assert ["alpha", "READY"] in [[row["name"], row["state"]] for row in rows]
    assert "over SSH" in inv("triton.ready", *HOST).stdout
    inv("triton.unload", "alpha", *HOST, "--yes")
    assert "alpha" not in site.answers()
    inv("triton.load", "alpha", *HOST)
    assert "alpha" in site.answers()
    assert json.loads(inv("triton.infer", "alpha", *HOST, "--json").stdout)


def test_triton_tasks_that_change_the_disk_change_that_of_the_host(site, inv):
    inv("triton.serve", "alpha", "--versions", "all", *HOST)
    config = site.servers["gpu-01"].root / "shared/triton/alpha/config.pbtxt"
    assert "version_policy" in config.read_text()
    assert "alpha" in site.answers()


def test_a_token_of_the_host_is_used_and_never_shown(site, inv):
    before = site.answers()
    inv("remote.env", *HOST, stdin="TRITON_TOKEN=hush_hush\n")
    try:
        done = inv("remote.deploy", *HOST)
        listed = inv("triton.list", *HOST)
        assert inv("remote.deploy", *HOST).stdout.split()[5:8] == ["nothing", "to", "do"]
        assert "alpha" in listed.stdout
        assert "hush_hush" not in done.stdout + done.stderr + listed.stdout + listed.stderr
        assert "hush_hush" not in "".join(
            path.read_text(errors="replace") for path in site.servers["gpu-01"].root.glob("releases/*/runs/*.log")
        )
    finally:
        inv("remote.env", *HOST, stdin="TRITON_TOKEN=\n")
        inv("remote.deploy", *HOST)
    assert site.answers() == before
