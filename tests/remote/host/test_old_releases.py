"""The releases that are deleted, and those that stay."""

from __future__ import annotations

import os

from tritonops.files import write_json
from tritonops.remote.host.old_releases import delete_old_releases
from tritonops.remote.layout.paths import Layout
from tritonops.remote.layout.records import ActivationRecord, ReleaseRecord


def release(layout: Layout, name: str, *, result: str | None = "done", venv: str = "one") -> None:
    folder = layout.root / "releases" / name
    folder.mkdir(parents=True)
    (layout.shared / "venvs" / venv).mkdir(parents=True, exist_ok=True)
    write_json(folder / "release.json", vars(ReleaseRecord(name, "abc", "subject", "f", "me", "now", venv=venv)))
    if result:
        layout.release(name).save_activation(ActivationRecord(result, "now"))


def test_pruning_keeps_the_newest_that_served_the_current_one_and_newer_ones(tmp_path):
    layout = Layout(tmp_path)
    for number in range(8):
        release(layout, f"2026010{number}T000000Z-abc", venv="old" if number == 1 else "one")
    release(layout, "20260105T120000Z-abc", result="rolled back")
    release(layout, "20260110T000000Z-abc", result=None, venv="new")
    layout.point_current_to(layout.release("20260100T000000Z-abc"))
    delete_old_releases(layout)
    kept = [name[:8] for name in layout.names()]
    assert kept == ["20260100", "20260103", "20260104", "20260105", "20260106", "20260107", "20260110"]
    assert sorted(path.name for path in (layout.shared / "venvs").iterdir()) == ["new", "one"]


def test_pruning_keeps_what_another_deploy_is_about_to_activate(tmp_path):
    layout = Layout(tmp_path)
    release(layout, "r000001-abc", result=None)
    release(layout, "r000002-abc", result=None)
    os.utime(tmp_path / "releases/r000001-abc", (0, 0))  # nobody comes back for it
    release(layout, "r000003-abc")
    layout.point_current_to(layout.release("r000003-abc"))
    delete_old_releases(layout)
    assert layout.names() == ["r000002-abc", "r000003-abc"]


def test_pruning_keeps_the_target_of_a_rollback_and_only_the_envs_of_releases(tmp_path):
    layout = Layout(tmp_path)
    for number in range(1, 8):
        release(layout, f"r00000{number}-abc")
        layout.env_of(layout.release(f"r00000{number}-abc")).parent.mkdir(exist_ok=True)
        layout.env_of(layout.release(f"r00000{number}-abc")).touch()
    current = layout.release("r000007-abc")
    current.save_activation(ActivationRecord("done", "now", before="r000001-abc"))
    layout.point_current_to(current)
    delete_old_releases(layout, keep=2)
    assert layout.names() == ["r000001-abc", "r000006-abc", "r000007-abc"]
    assert sorted(path.name for path in (tmp_path / "envs").iterdir()) == layout.names()
