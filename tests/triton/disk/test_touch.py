"""A touch, after which a load is no no-op."""

import os

import pytest

from tests.triton.disk.test_served_folder import served
from tritonops.errors import RepositoryError
from tritonops.triton.disk.served_folder import LoadRecord
from tritonops.triton.disk.touch import newest_time, touch

__all__ = ["served"]  # a fixture


def test_a_touch_is_newer_than_any_time_that_was_recorded(served):
    future = newest_time(served.read("m")) + 10**12
    touch(served.read("m"), LoadRecord({}, None, "", future))
    assert newest_time(served.read("m")) > future


def test_a_folder_of_another_user_is_an_error_with_a_way_out(served, monkeypatch):
    monkeypatch.setattr(os, "utime", lambda *arguments, **options: (_ for _ in ()).throw(PermissionError("no")))
    with pytest.raises(RepositoryError, match="cannot touch") as raised:
        touch(served.read("m"), None)
    assert "inv triton.unload m" in str(raised.value.hint)
