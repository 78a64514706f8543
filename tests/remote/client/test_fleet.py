"""Several hosts at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.remote.project import Site
from tests.remote.sshd import free_port
from tritonops.remote.client.fleet import run_on_hosts
from tritonops.remote.layout.callbacks import OnStep
from tritonops.remote.ssh.host import Host
from tritonops.remote.ssh.session_folder import SessionFolder
from tritonops.settings import Settings, load_settings

BOTH = ("--host", "gpu-01", "--host", "gpu-02")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two hosts that serve the same, and gpu-03, which is down."""
    with Site.at(tmp_path_factory.mktemp("pair"), "gpu-01", "gpu-02") as site:
        site.clone.hosts("gpu-01", "gpu-02", groups=["gpu"])
        site.fleet.describe("gpu-03", port=free_port())
        site.serve(alpha=1)
        site.clone.inv("remote.deploy", "--group", "gpu")
        yield site


def results(pair: Site, *arguments: str, code: int = 0) -> dict[str, str]:
    done = pair.clone.inv(*arguments, "--json", check=False)
    assert done.returncode == code, done.stderr
    return {row["host"]: row["result"] for row in json.loads(done.stdout)}


def test_two_hosts_take_a_new_version_and_go_back_side_by_side_without_a_failed_request(pair):
    before = pair.answers("gpu-01")["alpha"]
    pair.clone.model("alpha", 2, scale=before + 1)
    pair.clone.commit("alpha 2")
    with pair.inferring("alpha", "gpu-01") as first, pair.inferring("alpha", "gpu-02") as second:
        assert results(pair, "remote.deploy", *BOTH) == dict.fromkeys(("gpu-01", "gpu-02"), "deployed")
        assert pair.answers("gpu-01") == pair.answers("gpu-02") == {"alpha": before + 1}
        assert results(pair, "remote.deploy", "--host", "gpu-01,gpu-02") == dict.fromkeys(
            ("gpu-01", "gpu-02"), "nothing to do"
        )
        assert results(pair, "remote.rollback", *BOTH) == dict.fromkeys(("gpu-01", "gpu-02"), "rolled back")
        assert pair.answers("gpu-01") == pair.answers("gpu-02") == {"alpha": before}
    assert not first.failures + second.failures
    assert first.answers == second.answers == {before, before + 1}
    results(pair, "remote.deploy", *BOTH)


def test_one_of_three_that_is_down_does_not_keep_the_others_from_being_done(pair):
    pair.serve(alpha=pair.answers("gpu-01")["alpha"] + 1)
    done = pair.clone.inv("remote.deploy", *BOTH, "--host", "gpu-03", check=False)
    assert done.returncode == 1
    rows = [line.split()[:2] for line in done.stdout.splitlines()[1:]]
    assert rows == [["gpu-01", "deployed"], ["gpu-02", "deployed"], ["gpu-03", "unreachable"]]
    assert "1 of 3 hosts" in done.stderr


def test_hosts_that_are_all_down_exit_3(pair):
    pair.fleet.describe("gpu-04", port=free_port())
    assert pair.clone.inv("remote.status", "--host", "gpu-03,gpu-04", check=False).returncode == 3


def test_the_rest_is_not_touched_when_the_canary_fails(pair):
    before = pair.answers("gpu-02")
    pair.clone.inv("remote.lock", "--host", "gpu-01", "--hold", "a test")
    pair.serve(alpha=pair.answers("gpu-01")["alpha"] + 1)
    found = results(pair, "remote.deploy", *BOTH, "--canary", code=1)
    assert found == {"gpu-01": "locked", "gpu-02": "failed"}
    assert pair.answers("gpu-02") == before
    pair.clone.inv("remote.lock", "--host", "gpu-01", "--release", "--yes")
    assert set(results(pair, "remote.deploy", *BOTH, "--canary").values()) == {"deployed"}


def test_a_model_meant_for_one_host_is_served_there_alone(pair):
    pair.clone.model("only_two", scale=9, toml='hosts = ["gpu-02"]')
    pair.clone.model("for_the_group", scale=8, toml='hosts = ["gpu"]')
    pair.clone.commit("hosts")
    results(pair, "remote.deploy", *BOTH)
    assert "only_two" not in pair.answers("gpu-01")
    assert pair.answers("gpu-02")["only_two"] == 9
    assert pair.answers("gpu-01")["for_the_group"] == 8
    assert set(results(pair, "remote.deploy", *BOTH).values()) == {"nothing to do"}


def settings_of(pair: Site) -> Settings:
    environ = {"TRITON_SSH_CONFIG": str(pair.fleet.config)}
    return load_settings(pair.clone.folder, environ=environ, cwd=pair.clone.folder)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, RuntimeError], ids=["Ctrl-C", "an error"])
def test_no_work_begins_on_the_hosts_in_the_queue_after_an_interruption(pair, interrupt):
    begun: list[str] = []

    def prepare() -> None:
        raise interrupt

    with pytest.raises(interrupt):
        run_on_hosts(
            ["gpu-01", "gpu-02", "gpu-03"],
            lambda host, on_step: begun.append(host.name),
            at_once=1,
            settings=settings_of(pair),
            on_step=lambda host, line: None,
            prepare=prepare,
        )
    assert begun == []


def test_a_fault_of_this_machine_is_the_result_of_its_host_alone(pair):
    def work(host: Host, on_step: OnStep) -> str:
        if host.name == "gpu-01":
            raise OSError(24, "Too many open files")
        return host.run("echo in").stdout

    results = run_on_hosts(
        ["gpu-01", "gpu-02"], work, at_once=2, settings=settings_of(pair), on_step=lambda host, line: None
    )
    assert [(result.value, str(result.error)) for result in results] == [
        (None, "gpu-01: [Errno 24] Too many open files"),
        ("in\n", "None"),
    ]


@pytest.mark.parametrize("submitted", [0, 1, 2])
def test_ctrl_c_while_the_logins_begin_ends_the_command_and_every_connection(pair, monkeypatch, submitted):
    submit, begun = ThreadPoolExecutor.submit, list[str]()

    def interrupted(pool: ThreadPoolExecutor, run: Any, name: str) -> Any:
        if len(begun) == submitted:
            raise KeyboardInterrupt
        begun.append(name)
        return submit(pool, run, name)

    def work(host: Host, on_step: OnStep) -> None:
        pytest.fail("no work begins")

    settings = load_settings(pair.clone.folder, environ=pair.clone.environment, cwd=pair.clone.folder)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_on_hosts(["gpu-01", "gpu-02", "gpu-01"], work, at_once=3, settings=settings, on_step=print)
    assert SessionFolder._current is None
