"""What each served model was loaded from."""

import os

import pytest

from tests.remote.fakes import RECORD
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.remote.host.loads import digest_files, seal, unchanged_loads
from tritonops.remote.layout.records import RecordedLoad


@pytest.fixture
def model(tmp_path):
    (tmp_path / "alpha/1").mkdir(parents=True)
    (tmp_path / "alpha/1/model.onnx").write_text("one")
    return tmp_path / "alpha"


def test_a_seal_sees_a_file_that_was_overwritten_with_its_old_times(model):
    file, before = model / "1/model.onnx", seal(model)
    stat = file.stat()
    file.write_text("two")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert seal(model) != before


def test_a_seal_does_not_see_what_python_compiled_nor_a_touched_folder(model):
    before = seal(model)
    (model / "1/__pycache__").mkdir()
    (model / "1/__pycache__/model.pyc").touch()
    os.utime(model / "1")
    assert seal(model) == before


def test_a_digest_is_that_of_names_and_contents(model, tmp_path):
    digests = DigestCache(tmp_path / "digests.json")
    before = digest_files(model, digests)
    (model / "1/model.onnx").rename(model / "1/other.onnx")
    renamed = digest_files(model, digests)
    assert renamed != before
    (model / "1/other.onnx").rename(model / "1/model.onnx")
    assert digest_files(model, digests) == before


def test_loads_of_changed_models_are_dropped(model):
    load = RecordedLoad("f", seal(model), "c", "2026", "pid 1")
    assert unchanged_loads({"alpha": load}, model.parent) == {"alpha": load}
    (model / "1/model.onnx").write_text("two")
    assert unchanged_loads({"alpha": load}, model.parent) == {}
    assert RECORD.runtime == "embedded"
