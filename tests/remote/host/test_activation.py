"""What happens on the host, with faults at exact moments: each reported step is a moment to break something."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.remote.project import Site, activated
from tritonops.remote.host.activation import activate
from tritonops.remote.layout.deploy_lock import LockOwner, deploy_lock
from tritonops.remote.layout.paths import Layout
from tritonops.remote.rollback import roll_back_host
from tritonops.remote.ssh.host import Host


@pytest.mark.parametrize("step", ["keep what", "install", "load beta"])
def test_sigterm_at_any_step_rolls_back(site, step):
    site.serve(alpha=1, beta=1)
    site.deploy()
    before = site.answers()
    site.serve(alpha=2, beta=2)
    layout, name = site.stage()
    activation = activated(layout, name, interrupt_at(step))
    assert activation.result == ("rolled back" if step.startswith(("install", "load")) else "failed")
    assert "interrupted" in activation.message
    assert site.answers() == before
    assert not layout.switch_record.exists()


def test_a_killed_activation_is_in_the_audit_log_after_the_next_one(site):
    site.deploy()
    site.serve(alpha=31)
    layout, killed = site.stage()
    runs = layout.release(killed).path / "runs"
    runs.mkdir()
    with subprocess.Popen(["true"]) as ended:
        (runs / "one.pid").write_text(f"{ended.pid}\n")
    site.serve(alpha=32)
    site.deploy()
    entries = [entry for entry in audited(layout) if entry["release"] == killed]
    assert [(entry["result"], entry["message"]) for entry in entries] == [
        ("failed", "killed before it could record its result")
    ]


def test_a_failed_rollback_is_not_called_failed(site):
    site.deploy()
    site.serve(alpha=33)
    layout, name = site.stage()
    assert layout.current

    def break_both(line: str) -> None:
        if line.startswith("load alpha"):
            raise OSError("the new one does not load")
        if line.endswith("again"):
            raise OSError("the old one does not come back")

    activation = activated(layout, name, break_both)
    assert activation.result == "not rolled back"
    assert "failed too: the old one does not come back" in activation.message
    assert audited(layout)[-1]["result"] == "not rolled back"
    assert site.deploy().what == "deployed"
    assert site.answers()["alpha"] == 33


@pytest.mark.parametrize("lost", ["all of it", "its project", "its record"])
def test_a_missing_folder_of_the_current_release_is_shown_and_rebuilt_by_a_deploy(site, lost):
    site.deploy()
    before = site.answers()
    layout = Layout(site.servers["gpu-01"].root)
    current = layout.current
    assert current
    gone = {"all of it": current.path, "its project": current.project, "its record": current.path / "release.json"}[
        lost
    ]
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    if lost != "its project":
        (status,) = json.loads(site.clone.inv("remote.status", "--host", "gpu-01", "--json").stdout)
        assert (status["release"], status["triton"]) == (current.id, "up, the folder of its release is missing")
        assert status["served"] == len(before)
        done = site.clone.inv("remote.run", "--host", "gpu-01", "--", "triton.list", check=False)
        assert f"the folder of the current release {current.id} is missing" in done.stderr
    # A deploy that fails goes back to what served, and one that succeeds can be rolled back to it.
    site.serve(alpha=before["alpha"] + 1)
    layout, name = site.stage()
    assert activated(layout, name, interrupt_at("load alpha")).result == "rolled back"
    assert site.answers() == before
    site.serve(alpha=before["alpha"] + 2)
    assert site.deploy().what == "deployed"
    with Host("gpu-01", ssh_config=site.fleet.config) as host:
        roll_back_host(host, to=current.id, on_step=lambda line: None)
    assert site.answers() == before
    site.deploy()


def interrupt_at(step: str) -> Callable[[str], None]:
    def on_step(line: str) -> None:
        if line.startswith(step):
            os.kill(os.getpid(), signal.SIGTERM)

    return on_step


def test_a_record_of_a_switch_that_cannot_be_read_stands_in_no_deploys_way(site):
    site.serve(alpha=1)
    site.deploy()
    site.serve(alpha=2)
    layout, name = site.stage()
    layout.switch_record.write_bytes(b'{"to": \0')
    lines: list[str] = []
    assert activated(layout, name, lines.append).result == "done"
    assert any("switching.json cannot be read, so every model is loaded again" in line for line in lines)
    assert site.answers()["alpha"] == 2
    assert not layout.switch_record.exists()


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A host whose disk is a tmpfs of 300 MB, and a way to fill it up."""
    if os.getuid():
        pytest.skip("only root can mount a small disk")
    folder = tmp_path_factory.mktemp("small")
    (folder / "gpu-01/home/tritonops").mkdir(parents=True)
    root = folder / "gpu-01/home/tritonops"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(root)], check=True)
    try:
        with Site.at(folder, "gpu-01") as site:
            site.serve(alpha=1, beta=1)
            site.deploy()
            yield site
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


def fill(root: Path) -> None:
    with (root / "ballast").open("wb") as file:
        try:
            while True:
                file.write(bytes(1_000_000))
                file.flush()
        except OSError:
            pass
    with (root / "crumbs").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


@pytest.mark.parametrize("step", ["download models", "install"])
def test_a_full_disk_at_any_step_leaves_what_was_served_or_what_is_new(small_disk, step):
    site = small_disk
    before = site.answers()
    site.serve(alpha=before["alpha"] + 1, beta=before["beta"] + 1)
    layout, name = site.stage()
    try:
        activation = activated(layout, name, lambda line: fill(layout.root) if line.startswith(step) else None)
        after = site.answers()
        expected = {model: answer + 1 for model, answer in before.items()} if activation.result == "done" else before
        assert after == expected
    finally:
        for file in ("ballast", "crumbs"):
            (layout.root / file).unlink(missing_ok=True)
    site.deploy()
    assert site.answers() == {model: answer + 1 for model, answer in before.items()}


def test_a_rollback_succeeds_on_a_full_disk_which_is_reported(small_disk):
    site = small_disk
    before = site.answers()
    site.serve(alpha=before["alpha"] + 1)
    site.deploy()
    root = site.servers["gpu-01"].root
    lines: list[str] = []
    fill(root)
    try:
        with Host("gpu-01", ssh_config=site.fleet.config) as host:
            assert roll_back_host(host, to=None, on_step=lines.append).what == "rolled back"
        assert any("the disk of" in line and "is full" in line and "models.prune" in line for line in lines)
        assert site.answers() == before
        assert audited(Layout(root))[-1]["result"] == "done"
    finally:
        for file in ("ballast", "crumbs"):
            (root / file).unlink(missing_ok=True)
    site.deploy()
    assert Layout(root).reserve.stat().st_size > 1_000_000


def test_a_second_activation_is_refused_during_the_first_and_both_are_in_the_audit_log(tmp_path):
    (tmp_path / "releases/20260101T000000Z-abc").mkdir(parents=True)
    layout = Layout(tmp_path)
    with deploy_lock(layout.lock, LockOwner("somebody@laptop", "2026-01-01T00:00:00Z", "deploy", os.getpid())):
        activation = activate(layout, "20260101T000000Z-abc", by="me", kind="deploy", on_step=print)
    assert activation.result == "locked"
    assert "locked by somebody@laptop, since 2026" in activation.message
    (entry,) = audited(layout)
    assert (entry["by"], entry["what"], entry["result"]) == ("me", "deploy", "locked")


def test_the_activation_of_a_release_that_is_not_there_is_in_the_audit_log(tmp_path):
    layout = Layout(tmp_path)
    assert activate(layout, "20260101T000000Z-abc", by="me", kind="rollback", on_step=print).result == "failed"
    (entry,) = audited(layout)
    assert (entry["release"], entry["result"]) == ("20260101T000000Z-abc", "failed")


def audited(layout: Layout) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (layout.root / "audit.log").read_text().splitlines()]
