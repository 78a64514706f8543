"""Snapshots of model folders, and the records of what a server loaded from them."""

import os

import pytest

from tests.onnx_models import affine, write_model
from tritonops.models.configs.pbtxt import parse_config
from tritonops.triton.disk.served_folder import (
    LoadRecord,
    ServedFolder,
    pack_config,
    unpack_config,
)

RECORD = LoadRecord({"1": "aa", "shared": "bb"}, 'backend: "x"', "", 5)


@pytest.fixture
def served(tmp_path):
    write_model(tmp_path / "triton", "m", {1: affine(), 3: affine()})
    return ServedFolder.of(tmp_path / "triton", "localhost:8001")


def test_records_are_kept_by_server_and_model(served):
    assert served.record("m") is None
    served.save("m", RECORD)
    assert served.record("m") == RECORD
    assert ServedFolder.of(served.models_dir, "127.0.0.1:8001").record("m") == RECORD
    assert ServedFolder.of(served.models_dir, "127.0.0.1:9001").record("m") is None
    served.discard("m")
    assert served.record("m") is None


def test_a_damaged_record_is_none(served):
    served.save("m", RECORD)
    (served.records_dir / "m.json").write_text("{}")
    assert served.record("m") is None


def test_a_folder_that_cannot_be_written_is_no_error(served):
    served.records_dir.parent.mkdir(parents=True)
    served.records_dir.write_text("a file in place of the folder")
    served.save("m", RECORD)
    assert served.record("m") is None


def test_records_from_before_a_start_are_discarded(served):
    served.save("old", RECORD)
    served.save("new", RECORD)
    os.utime(served.records_dir / "old.json", (100, 100))
    served.discard_before(200)
    assert (served.record("old"), served.record("new")) == (None, RECORD)


def test_the_newest_version_is_served_unless_a_policy_says_otherwise(served):
    assert (served.read("m").versions, served.read("m").served) == ((1, 3), (3,))
    with (served.models_dir / "m/config.pbtxt").open("a") as config:
        config.write("version_policy: { all { } }")
    assert served.read("m").served == (1, 3)


def test_a_config_that_does_not_parse_is_an_error_of_the_snapshot(served):
    (served.models_dir / "m/config.pbtxt").write_text("what is this")
    model = served.read("m")
    assert model.config is None
    assert "config.pbtxt" in str(model.config_error)
    assert served.read("absent") is None


def test_a_version_has_other_files_once_one_of_its_own_or_a_shared_one_changes(served):
    before = served.read("m")
    (served.models_dir / "m/1/model.onnx").write_bytes(b"another")
    after = served.read("m")
    assert (after.same_files(before.files, 1), after.same_files(before.files, 3)) == (False, True)
    (served.models_dir / "m/labels.txt").write_text("seven")
    assert not served.read("m").same_files(before.files, 3)
    (served.models_dir / "m/config.pbtxt").write_text("")
    (served.models_dir / "m/1/__pycache__").mkdir()
    (served.models_dir / "m/1/__pycache__/model.pyc").touch()
    assert served.read("m").same_files(after.files, 1) is False
    assert served.read("m").files["1"] == after.files["1"]


def test_a_config_survives_packing_and_a_damaged_text_is_an_empty_one():
    config = parse_config('name: "m" max_batch_size: 8')
    assert unpack_config(pack_config(config)) == config
    assert unpack_config("!") == parse_config("")


def test_the_log_is_read_from_a_position(served):
    assert (served.log_end(), served.logged_since(0)) == (0, "")
    served.log.parent.mkdir(parents=True, exist_ok=True)
    served.log.write_text("first\nsecond\n")
    assert served.logged_since(6) == "second\n"
    assert served.log_end() == 13
