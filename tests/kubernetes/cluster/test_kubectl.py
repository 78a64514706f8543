"""kubectl as a process: what it inherits, how long it may take, and that it ends."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kubernetes.kubectl_script import write_script
from tests.kubernetes.projects import target
from tests.processes import python, wait_for
from tritonops.errors import (
    ClusterUnreachableError,
    KubectlError,
    KubectlMissingError,
    KubectlTooOldError,
    LoginRefusedError,
    PortForwardError,
)
from tritonops.file_lock import start_time
from tritonops.kubernetes.cluster.kubectl import Kubectl

LOG = """echo 'E1130 10:00:00.000000    7 memcache.go:265] "Error" err="dial tcp 10.0.0.1:443: refused"' >&2"""

STUBBORN = 'trap "" TERM; echo $$ >"$0"; while :; do sleep 0.1; done'


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Write kubectl: `script(body)`, and give it with the calls that it notes."""

    def write(body):
        return write_script(tmp_path / "bin", body, monkeypatch), Kubectl.of(target())

    return write


def runs(pid_file: Path) -> bool:
    """Whether the process that wrote its id into a file goes on."""
    return start_time(int(pid_file.read_text())) is not None


def test_every_command_is_for_the_targets_context_and_namespace(tmp_path, monkeypatch):
    script = write_script(tmp_path / "bin", "", monkeypatch)
    (script.folder / "kubectl").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    found = Kubectl.of(target(context='my "own" $cluster', namespace="team")).output(
        ["get", "pods,services", "-o=json"]
    )
    assert found.splitlines() == ['--context=my "own" $cluster', "--namespace=team", "get", "pods,services", "-o=json"]


def test_without_kubectl_on_the_path_the_hint_says_where_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KubectlMissingError) as caught:
        Kubectl.of(target())
    assert "kubernetes.io/docs/tasks/tools" in str(caught.value.hint)
    with pytest.raises(KubectlMissingError):
        Kubectl("tests", "triton").output(["version"])


def test_settings_of_a_person_that_change_what_a_command_does_are_left_out_and_the_others_are_inherited(
    script, monkeypatch
):
    for name in ("KUBECTL_EXTERNAL_DIFF", "KUBECTL_APPLYSET", "KUBECTL_INTERACTIVE_DELETE"):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("KUBERC", "/home/me/kuberc")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("KUBECONFIG", "/home/me/config")
    found = dict(line.split("=", 1) for line in script("env")[1].output(["get"]).splitlines() if "=" in line)
    assert found.items() >= {
        ("LC_ALL", "C"),
        ("KUBERC", "off"),
        ("KUBECTL_KUBERC", "false"),
        ("HTTPS_PROXY", "http://proxy:3128"),
        ("KUBECONFIG", "/home/me/config"),
    }
    assert not {"KUBECTL_EXTERNAL_DIFF", "KUBECTL_APPLYSET", "KUBECTL_INTERACTIVE_DELETE"} & found.keys()


def test_input_is_passed_on_and_without_any_a_command_that_asks_gets_none(script):
    _, kubectl = script("cat")
    assert kubectl.output(["apply"], stdin="{}" * 100_000) == "{}" * 100_000
    assert kubectl.output(["apply"]) == ""
    _, kubectl = script("exit 0")
    assert kubectl.output(["apply"], stdin="{}" * 100_000) == ""


def test_what_a_command_logs_about_its_retries_is_no_part_of_its_answer(script):
    _, kubectl = script(f"""{LOG}; echo '{{"items": [{{"kind": "Pod"}}]}}'""")
    assert kubectl.objects(["pods"]) == [{"kind": "Pod"}]


def test_a_failure_has_kubectls_own_words_without_what_it_logged(script):
    _, kubectl = script(f"{LOG}; echo 'error: unknown flag: --x' >&2; exit 1")
    with pytest.raises(KubectlError, match=r"`kubectl get` failed: error: unknown flag: --x$"):
        kubectl.output(["get", "--x"])


def test_a_failure_of_which_there_is_nothing_but_a_log_has_the_log(script):
    with pytest.raises(ClusterUnreachableError, match=r"dial tcp 10\.0\.0\.1:443: refused"):
        script(f"{LOG}; exit 1")[1].output(["get"])
    with pytest.raises(KubectlError, match=r"failed: F1130 10:00:00\.000000    7 main.go:1\] out of cheese"):
        script("echo 'F1130 10:00:00.000000    7 main.go:1] out of cheese' >&2; exit 255")[1].output(["get"])
    with pytest.raises(KubectlError, match="failed: on stdout"):
        script("echo on stdout; exit 1")[1].output(["get"])


def test_output_that_is_no_json_is_an_error(script):
    with pytest.raises(KubectlError, match="`kubectl get` printed no JSON"):
        script("echo NAME READY")[1].json(["get"])


def test_a_command_that_hangs_is_ended_with_what_it_started(script, tmp_path):
    _, kubectl = script(f"""sh -c '{STUBBORN}' "$folder/plugin" & {STUBBORN.replace("$0", "$folder/kubectl.pid")}""")
    with pytest.raises(ClusterUnreachableError, match=r"did not answer within 0\.5 s"):
        kubectl.output(["get"], timeout=0.5)
    for name in ("plugin", "kubectl.pid"):
        wait_for(lambda name=name: not runs(tmp_path / "bin" / name))


def test_a_login_plugin_ends_with_the_command_that_waits_for_it(script, tmp_path):
    _, kubectl = script("""sh -c 'echo $$ >"$0/plugin"; sleep 600; :' "$folder"; :""")
    with pytest.raises(ClusterUnreachableError):
        kubectl.output(["get"], timeout=0.5)
    wait_for(lambda: not runs(tmp_path / "bin/plugin"))


VERSION = """echo '{{"clientVersion": {{"major": "1", "minor": "{minor}", "gitVersion": "v1.{minor}.3"}},
"serverVersion": {{"gitVersion": "v1.31.4-gke.1256000"}}}}'"""


@pytest.mark.parametrize("minor", ["25", "32+", "40"])
def test_the_version_of_the_cluster_is_the_servers(script, minor):
    assert script(VERSION.format(minor=minor))[1].server_version() == "v1.31.4-gke.1256000"


def test_a_kubectl_that_is_too_old_is_refused_with_the_oldest_supported_version(script):
    with pytest.raises(KubectlTooOldError, match=r"kubectl v1\.24\.3 is too old: 1\.25 is the oldest"):
        script(VERSION.format(minor="24"))[1].server_version()


def test_output_that_is_followed_arrives_as_it_is_printed(script, tmp_path):
    _, kubectl = script('echo first; until [ -e "$folder/go" ]; do sleep 0.01; done; printf "\\377last"')
    chunks = list[bytes]()

    def take(data):
        chunks.append(data)
        (tmp_path / "bin/go").touch()

    kubectl.watch(["logs"], take)
    assert chunks[0] == b"first\n"
    assert b"".join(chunks) == b"first\n\xfflast"


def test_following_ends_at_once_where_the_reader_ends(script, tmp_path):
    _, kubectl = script('echo $$ >"$folder/pid"; while :; do echo line; sleep 0.01; done')
    began = time.monotonic()

    def end(data):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kubectl.watch(["logs"], end)
    assert time.monotonic() - began < 1.5
    wait_for(lambda: not runs(tmp_path / "bin/pid"))


def test_a_command_that_is_followed_may_print_many_errors_and_the_last_of_them_are_its_failure(script):
    many = "i=0; while [ $i -lt 2000 ]; do echo \"error $i: $(printf '%0100d' 0)\" >&2; i=$((i + 1)); done"
    chunks = list[bytes]()
    script(f"{many}; echo done")[1].watch(["logs"], chunks.append)
    assert chunks == [b"done\n"]
    with pytest.raises(KubectlError, match=r"`kubectl logs` failed: (?s:.*)error 1999: 0"):
        script(f"{many}; exit 1")[1].watch(["logs"], chunks.append)


FORWARD = """echo $$ >"$folder/pid"
echo 'Forwarding from 127.0.0.1:4711 -> 8001'
exec sleep 600"""


def test_the_forwarded_port_is_the_one_that_kubectl_chose_and_it_ends_with_the_block(script, tmp_path):
    calls, kubectl = script(FORWARD)
    with kubectl.port_forward("p-1", 8001) as port:
        assert port == 4711
        assert runs(tmp_path / "bin/pid")
    wait_for(lambda: not runs(tmp_path / "bin/pid"))
    assert calls.calls == ["port-forward pod/p-1 :8001 --address=127.0.0.1"]


def test_a_forwarding_ends_where_the_block_fails_and_where_kubectl_does_not_care(script, tmp_path):
    _, kubectl = script(FORWARD.replace("exec sleep 600", "trap '' TERM; while :; do sleep 0.1; done"))
    with suppress(ZeroDivisionError), kubectl.port_forward("p-1", 8001):
        raise ZeroDivisionError
    wait_for(lambda: not runs(tmp_path / "bin/pid"))


def test_a_forwarding_that_prints_a_line_for_each_connection_goes_on(script, tmp_path):
    many = f"i=0; while [ $i -lt 2000 ]; do echo 'Handling connection for 4711 {'.' * 100}'; i=$((i + 1)); done"
    _, kubectl = script(FORWARD.replace("exec", f'{many}; touch "$folder/done"; exec'))
    with kubectl.port_forward("p-1", 8001):
        wait_for((tmp_path / "bin/done").exists)


def test_a_pod_that_cannot_be_reached_is_named_with_kubectls_words(script):
    _, kubectl = script(f"{LOG}; echo 'error: unable to forward port because pod is not running' >&2; exit 1")
    with (
        pytest.raises(PortForwardError, match=r"^cannot reach the pod p-1: error: unable to forward .* not running$"),
        kubectl.port_forward("p-1", 8001),
    ):
        pass
    _, kubectl = script("echo 'error: You must be logged in to the server (Unauthorized)' >&2; exit 1")
    with pytest.raises(LoginRefusedError), kubectl.port_forward("p-1", 8001):
        pass


def test_a_forwarding_that_does_not_begin_is_given_up(script, tmp_path):
    _, kubectl = script('echo $$ >"$folder/pid"; exec sleep 600')
    with (
        pytest.raises(PortForwardError, match="nothing was forwarded"),
        kubectl.port_forward("p-1", 8001, timeout=2.0),
    ):
        pass
    wait_for(lambda: not runs(tmp_path / "bin/pid"))


def test_a_forwarding_ends_with_the_process_that_started_it_also_where_that_is_killed(script, tmp_path):
    script(FORWARD)
    process = python(
        """
        import time
        from tritonops.kubernetes.cluster.kubectl import Kubectl

        with Kubectl("tests", "triton").port_forward("p-1", 8001):
            print("forwarded", flush=True)
            time.sleep(600)
        """,
        env=dict(os.environ),
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "forwarded\n"
        assert runs(tmp_path / "bin/pid")
        process.kill()
    wait_for(lambda: not runs(tmp_path / "bin/pid"))
