"""A touch, after which a load is no no-op."""

import os

import pytest

from tests.onnx_models import affine, write_model
from tritonops.errors import RepositoryError
from tritonops.triton.disk.served_folder import (
    LoadRecord,
    ServedFolder,
)
from tritonops.triton.disk.touch import newest_time, touch

RECORD = LoadRecord({"1": "aa", "shared": "bb"}, 'backend: "x"', "", 5)


@pytest.fixture
def served(tmp_path):
    write_model(tmp_path / "triton", "m", {1: affine(), 3: affine()})
    return ServedFolder.of(tmp_path / "triton", "localhost:8001")


def test_a_touch_is_newer_than_any_time_that_was_recorded(served):
    future = newest_time(served.read("m")) + 10**12
    touch(served.read("m"), LoadRecord({}, None, "", future))
    assert newest_time(served.read("m")) > future


def test_a_folder_of_another_user_is_an_error_with_a_way_out(served, monkeypatch):
    monkeypatch.setattr(os, "utime", lambda *arguments, **options: (_ for _ in ()).throw(PermissionError("no")))
    with pytest.raises(RepositoryError, match="cannot touch") as raised:
        touch(served.read("m"), None)
    assert "inv triton.unload m" in str(raised.value.hint)
