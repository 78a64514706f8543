"""The tasks as a person runs them, against one host that serves."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tasks.command_line.json_documents import DOCUMENTS
from tasks.command_line.json_schema import json_schema
from tests.remote.sshd import wait_until
from tritonops.dotenv import parse
from tritonops.errors import TokenRefusedError, TritonOpsError
from tritonops.remote.env import set_values
from tritonops.remote.ssh.host import Host
from tritonops.triton.client.client import connect

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
    ("text", "message"),
    [
        ("", "no values were given"),
        ("not a line", "stdin:1: "),
        ("SECRET_ALONE\n", "stdin:1: "),
        ("lower=secret", "stdin:1: expected a key in capitals"),
        ("KEY='secret", "stdin:1: KEY: the quote ' is not closed"),
        ("KEY=secret$dollar", "stdin:1: KEY: not set: dollar"),
        ('A=1\nKEY="it\'s `secret`"', "stdin:2: KEY: a single quote and a backtick"),
        ("A=1\nTRITON_EXPOSE_GRPC=banana\n", "TRITON_EXPOSE_GRPC='banana' in stdin:2: expected a port number"),
        ("TRITON_EXPOSE_HTTP=70000\n", "TRITON_EXPOSE_HTTP='70000' in stdin:1: expected a port number"),
        ("TRITON_BIND=localhost\n", "TRITON_BIND='localhost' in stdin:1: expected an IP address"),
        ("TRITON_TOKEN='a secret'\n", "TRITON_TOKEN in stdin:1: expected printable ASCII without spaces"),
        ("HF_ENDPOINT=ftp://secret@x\n", "HF_ENDPOINT in stdin:1: expected http(s)://host"),
    ],
)
def test_what_is_not_key_value_or_no_setting_is_refused_at_the_door_without_showing_secrets(site, inv, text, message):
    before = (site.servers["gpu-01"].root / "env").read_bytes()
    done = inv("remote.env", *HOST, stdin=text, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr
    assert (site.servers["gpu-01"].root / "env").read_bytes() == before


def test_any_value_reaches_the_host_and_is_read_there_as_it_was_given(site, inv):
    path = site.servers["gpu-01"].root / "env"
    before = path.read_text()
    path.write_text(f"export ONE='old'\nTWO: old\n{before}")
    inv("remote.env", *HOST, stdin='ONE="it\'s $$5"\nTWO=\'back\\\\\'\nTHREE="a\\nb" # c\n')
    found = parse(path.read_bytes(), lambda _: None, where="env")
    assert [found[name].value for name in ("ONE", "TWO", "THREE")] == ["it's $5", "back\\\\", "a\nb"]
    shell = subprocess.run(
        ["sh", "-c", '. "$0"; printf "%s|" "$ONE" "$TWO" "$THREE"', path], capture_output=True, check=True
    )
    assert shell.stdout == b"it's $5|back\\\\|a\nb|"
    assert "old" not in path.read_text()
    listed = inv("remote.env", *HOST, "--names").stdout.split()
    assert {"ONE", "TWO", "THREE"} <= set(listed)
    inv("remote.env", *HOST, stdin="ONE=\nTWO=\nTHREE=\n")
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("TRITON_TOKEN='s3cret", "gpu-01: env:{}: TRITON_TOKEN: the quote ' is not closed"),
        ("TRITON_TOKEN=s3cret$dollar", "gpu-01: env:{}: TRITON_TOKEN: not set in this file: dollar"),
        ("TRITON_TOKEN", "gpu-01: env:{}: expected KEY=VALUE"),
        ("TRITON_TOKEN='a s3cret'", "TRITON_TOKEN in gpu-01: env:{}: expected printable ASCII"),
        ("TRITON_EXPOSE_GRPC=banana", "TRITON_EXPOSE_GRPC='banana' in gpu-01: env:{}: expected a port number"),
    ],
)
@pytest.mark.parametrize("task", ["remote.status", "remote.plan", "remote.deploy", "remote.doctor"])
def test_a_file_edited_by_hand_into_one_that_cannot_be_used_is_named_by_host_line_and_key(
    site, inv, line, message, task
):
    path = site.servers["gpu-01"].root / "env"
    before = path.read_text()
    path.write_text(f"{before}{line}\n")
    done = inv(task, *HOST, check=False)
    path.write_text(before)
    assert done.returncode == 2
    assert message.format(before.count("\n") + 1) in done.stderr
    assert "s3cret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_change_of_the_env_file_between_reading_and_writing_is_not_lost(site, inv, monkeypatch):
    site.deploy()
    path = site.servers["gpu-01"].root / "env"
    before = path.read_text()
    with Host("gpu-01", ssh_config=site.fleet.config) as host:
        run = host.run

        def run_late(script, **options):
            if "base64 -d" in script:
                path.write_text(f"{before}OTHER=1\n")
            return run(script, **options)

        monkeypatch.setattr(host, "run", run_late)
        with pytest.raises(TritonOpsError, match="another command changed the env file"):
            set_values(host, {"MINE": "2"})
    assert path.read_text() == f"{before}OTHER=1\n"
    assert sorted(file.name for file in path.parent.glob("env*")) == ["env", "envs"]
    path.write_text(before)


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
    record = {"id": old.name, "commit": "abc", "subject": "s", "fingerprint": "f", "by": "me", "at": "2020"}
    (old / "release.json").write_text(json.dumps(record))
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


def test_a_host_locked_by_a_person_refuses_deploys_until_it_is_unlocked(site, inv):
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


def test_plan_shows_any_file_name_and_any_subject_of_a_commit(site, inv):
    name = os.fsdecode(b"not-utf-8-\xff")
    (site.clone.folder / name).write_text("x")
    site.clone.git("add", "--all")
    site.clone.git("-c", "i18n.commitEncoding=x-unknown", "commit", "--quiet", os.fsdecode(b"--message=\xff\x1b[31m"))
    shown = inv("remote.plan", *HOST, check=False)
    assert shown.returncode == 4
    assert "not-utf-8-\\udcff" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert json.loads(inv("remote.plan", *HOST, "--json", check=False).stdout)
    inv("remote.deploy", *HOST)
    assert "\x1b" not in inv("remote.releases", *HOST).stdout
    (site.clone.folder / name).unlink()
    site.clone.commit("Plain again")


def test_plan_tells_what_somebody_changed_on_the_host_itself(site, inv):
    config = site.servers["gpu-01"].root / "shared/triton/alpha/config.pbtxt"
    edited = config.with_name("config.new")
    edited.write_text(config.read_text() + "\n# by hand\n")
    edited.replace(config)
    assert "changed on the host" in inv("remote.plan", *HOST, check=False).stdout
    inv("remote.deploy", *HOST)
    assert "by hand" not in config.read_text()


@pytest.mark.parametrize("hosts", ["gpu-0.invalid", "gpu-0.invalid,other.invalid"])
def test_a_host_name_that_nobody_knows_is_wrong_input_with_the_known_ones(inv, hosts):
    done = inv("remote.status", "--host", hosts, "--json", check=False)
    assert done.returncode == 2
    assert "Could not resolve hostname" in done.stderr
    assert "gpu-01" in done.stderr
    assert json.loads(done.stdout)["error"]["exit_code"] == 2


@pytest.mark.parametrize("arguments", [(), ("--group", "nope")], ids=["no host", "no such group"])
def test_no_host_or_an_unknown_group_is_wrong_input(inv, arguments):
    done = inv("remote.deploy", *arguments, check=False)
    assert done.returncode == 2
    assert "hint:" in done.stderr


@pytest.mark.parametrize("task", [("remote.deploy",), ("remote.restart", "--yes"), ("remote.env", "--names")])
def test_a_hosts_toml_that_cannot_be_read_is_refused_before_anything_is_done_on_a_host(site, inv, task):
    path = site.clone.folder / "hosts.toml"
    before, audit = path.read_text(), site.servers["gpu-01"].root / "audit.log"
    entries = audit.read_text()
    path.write_text(f'{before}runtim = "compose"\n')
    try:
        done = inv(*task, *HOST, check=False)
    finally:
        path.write_text(before)
    assert done.returncode == 2
    assert done.stderr.count("unknown key 'runtim'") == 1
    assert "Traceback" not in done.stderr
    assert audit.read_text() == entries


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


@pytest.mark.parametrize("token", ["hush_hush\\", "it's\\\\", 'a"b#$c', "'"])
def test_a_token_of_any_characters_closes_control_and_a_second_deploy_finds_nothing_to_do(site, inv, token):
    written = token.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    inv("remote.env", *HOST, stdin=f'TRITON_TOKEN="{written}"\n')
    try:
        inv("remote.deploy", *HOST)
        with connect(f"127.0.0.1:{site.servers['gpu-01'].grpc}") as client, pytest.raises(TokenRefusedError):
            client.index()
        with connect(f"127.0.0.1:{site.servers['gpu-01'].grpc}", token=token) as client:
            assert client.index()
        assert "nothing to do" in inv("remote.deploy", *HOST).stdout
        states = {
            row["check"]: row["state"] for row in json.loads(inv("remote.doctor", *HOST, "--json", check=False).stdout)
        }
        assert states["token"] == "ok"
    finally:
        inv("remote.env", *HOST, stdin="TRITON_TOKEN=\n")
        inv("remote.deploy", *HOST)


def test_control_that_answers_without_the_token_of_the_host_fails_deploy_and_doctor(site, inv):
    inv("remote.env", *HOST, stdin="TRITON_TOKEN=hush_hush\n")
    try:
        inv("remote.deploy", *HOST)
        command = [str(site.servers["gpu-01"].root / "inv"), "server.restart"]
        environment = {**os.environ, "TRITONOPS_REQUIREMENTS": "dev", "TRITON_TOKEN": ""}
        subprocess.run(command, env=environment, capture_output=True, check=True)
        opened = "the control API answers over HTTP without TRITON_TOKEN"
        done = inv("remote.deploy", *HOST, check=False)
        assert done.returncode == 1
        assert opened in done.stderr
        rows = json.loads(inv("remote.doctor", *HOST, "--json", check=False).stdout)
        assert [(row["state"], opened in row["problem"]) for row in rows if row["check"] == "token"] == [
            ("problem", True)
        ]
        site.serve(alpha=4444)
        done = inv("remote.deploy", *HOST, "--json", check=False)
        assert json.loads(done.stdout)[0]["result"] == "rolled back"
        inv("remote.restart", *HOST, "--yes")
        inv("remote.deploy", *HOST)
    finally:
        inv("remote.env", *HOST, stdin="TRITON_TOKEN=\n")
        inv("remote.deploy", *HOST)


def test_the_documents_of_hosts_are_what_docs_json_says(site, inv):
    for words in (
        ["remote.status"],
        ["remote.releases"],
        ["remote.plan"],
        ["remote.deploy"],
        ["remote.doctor"],
        ["remote.lock"],
        ["remote.audit"],
        ["remote.env", "--names"],
        ["remote.logs", "--lines", "5"],
    ):
        done = inv(*words, *HOST, "--json", check=False)
        Draft202012Validator(json_schema(DOCUMENTS[words[0]])).validate(json.loads(done.stdout))
    done = inv("remote.run", *HOST, "--json", "--", "models.list", "--json")
    (row,) = json.loads(done.stdout)
    Draft202012Validator(json_schema(DOCUMENTS["remote.run"])).validate([row])
    assert [each["name"] for each in json.loads("\n".join(row["stdout"]))]


def test_ctrl_c_ends_a_task_on_the_host(site):
    command = [str(site.clone.folder / "inv"), "remote.run", *HOST, "--", "server.logs", "--follow", "--lines", "1"]
    marker = str(site.servers["gpu-01"].root / "releases").encode()

    def running() -> list[Path]:
        return [path for path in Path("/proc").glob("[0-9]*/cmdline") if is_log_task(path, marker)]

    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=site.clone.environment, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            wait_until(running, "the task on the host")
            assert process.stdout
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in errors
    wait_until(lambda: not running(), "the end of the task on the host")


def is_log_task(path: Path, marker: bytes) -> bool:
    try:
        words = path.read_bytes()
    except OSError:
        return False
    return b"server.logs" in words and b"remote.run" not in words and marker in words


@pytest.mark.parametrize("several", [False, True], ids=["one host", "several hosts"])
def test_a_reader_of_the_output_who_has_gone_is_no_failure_of_a_host(site, several):
    site.fleet.describe("same", port=site.servers["gpu-01"].port)
    with site.fleet.known_hosts.open("a") as known:
        known.write(f"[127.0.0.1]:{site.servers['gpu-01'].port} {site.servers['gpu-01'].host_key}")
    names = "gpu-01,same" if several else "gpu-01"
    command = [str(site.clone.folder / "inv"), "remote.run", "--host", names, "--", "models.list", "--json"]
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed:
        done = subprocess.run(
            command,
            env=site.clone.environment,
            stdin=subprocess.DEVNULL,
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert b"gpu-01:" not in done.stderr
    assert b"Traceback" not in done.stderr


def test_configs_are_judged_for_what_a_host_has(site, inv):
    site.deploy()
    done = inv("models.check", *HOST, "--cpu", check=False)
    assert "checked for gpu-01: the embedded Triton, which does not complete configs; GPUs: 0" in done.stderr
    assert "Traceback" not in done.stderr
