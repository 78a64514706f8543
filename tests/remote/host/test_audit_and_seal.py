"""The records of activations."""

from __future__ import annotations

import json

from tests.remote.host.test_old_releases import release
from tritonops.remote.host import audit_and_seal
from tritonops.remote.host.audit_and_seal import append_audit, is_sealed, record_activation, record_seal
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


def test_each_activation_is_a_line_with_who_did_what(tmp_path):
    layout = Layout(tmp_path)
    append_audit(layout, "r1", "abc", ActivationRecord("done", "2026", changed=("alpha",)), by="ann", kind="deploy")
    append_audit(layout, "r1", "abc", ActivationRecord("failed", "2027", message="a\nb"), by="bob", kind="rollback")
    first, second = (json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines())
    assert (first["by"], first["what"], first["release"], first["changed"]) == ("ann", "deploy", "r1", ["alpha"])
    assert (second["by"], second["result"], second["message"]) == ("bob", "failed", "a")


def test_a_log_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "audit.log").mkdir()
    append_audit(Layout(tmp_path), "r1", "abc", ActivationRecord("done", "2026"), by="ann", kind="deploy")


def test_a_full_disk_does_not_stop_an_activation_from_ending(tmp_path, monkeypatch):
    layout = Layout(tmp_path)
    release(layout, "r000001-abc", result=None)

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audit_and_seal, "_append", fail)
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
