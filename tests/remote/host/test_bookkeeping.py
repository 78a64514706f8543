"""The records of activations."""

from __future__ import annotations

import json

from tests.remote.host.test_old_releases import release
from tritonops.remote.host.bookkeeping import is_sealed, record_activation, record_seal
from tritonops.remote.layout.paths import Layout
from tritonops.remote.layout.records import ActivationRecord


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
