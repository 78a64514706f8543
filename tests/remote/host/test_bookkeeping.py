"""The records of activations, and the releases that are deleted."""

from __future__ import annotations

import json
import os

from tritonops.files import write_json
from tritonops.remote.host.bookkeeping import is_sealed, prune, record_activation, record_seal
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
    prune(layout)
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
    prune(layout)
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
    prune(layout, keep=2)
    assert layout.names() == ["r000001-abc", "r000006-abc", "r000007-abc"]
    assert sorted(path.name for path in (tmp_path / "envs").iterdir()) == layout.names()


def test_an_activation_is_in_the_record_of_its_release_and_in_the_audit_log(tmp_path):
    layout = Layout(tmp_path)
    release(layout, "r000001-abc", result=None)
    done = ActivationRecord("done", "2026", seconds=1.5, changed=("alpha",), message="first\nsecond")
    record_activation(layout, layout.release("r000001-abc"), done, by="me", kind="deploy")
    locked = ActivationRecord("locked", "2027", message="by ann")
    record_activation(layout, layout.release("r000001-abc"), locked, by="me", kind="rollback")
    assert layout.release("r000001-abc").activation == done
    entries = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert [(entry["what"], entry["result"], entry["message"]) for entry in entries] == [
        ("deploy", "done", "first"),
        ("rollback", "locked", "by ann"),
    ]


def test_a_full_disk_does_not_stop_an_activation_from_ending(tmp_path, monkeypatch):
    layout = Layout(tmp_path)
    release(layout, "r000001-abc", result=None)

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Layout, "audit", fail)
    record_activation(layout, layout.release("r000001-abc"), ActivationRecord("done", "now"), by="me", kind="deploy")


def test_a_seal_is_broken_by_a_change_of_a_listed_model_alone(tmp_path):
    layout = Layout(tmp_path)
    release(layout, "r000001-abc")
    current = layout.release("r000001-abc")
    current.listed.write_text("alpha\n")
    layout.point_current_to(current)
    for name in ("alpha", "ensemble"):
        (layout.models_dir / name).mkdir(parents=True)
        (layout.models_dir / name / "config.pbtxt").write_text("one")
    sealed = record_seal(layout, current)
    assert sealed
    assert sealed.seal
    assert is_sealed(layout, current)
    (layout.models_dir / "ensemble/config.pbtxt").write_text("two")
    assert is_sealed(layout, current)
    (layout.models_dir / "alpha/config.pbtxt").write_text("two")
    assert not is_sealed(layout, current)
