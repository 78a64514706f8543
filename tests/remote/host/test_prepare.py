"""Pushed files that are verified, and models that are not listed."""

import hashlib
from types import SimpleNamespace
from typing import Any

import pytest

from tritonops.errors import PartialFailureError, TritonOpsError
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store
from tritonops.models.rules.finding import Finding, Severity
from tritonops.remote.host import prepare
from tritonops.remote.host.prepare import accept_pushed_files, remove_unlisted
from tritonops.remote.layout.paths import Layout


@pytest.fixture
def layout(tmp_path):
    made = Layout(tmp_path)
    made.incoming.mkdir(parents=True)
    return made


def test_a_pushed_file_is_moved_into_the_store(layout):
    sha256, lines = hashlib.sha256(b"weights").hexdigest(), list[str]()
    (layout.incoming / sha256).write_bytes(b"weights")
    (layout.incoming / f".{sha256}.partial").write_bytes(b"wei")
    accept_pushed_files(layout, on_step=lines.append)
    assert Store(layout.store_dir).has(sha256)
    assert not (layout.incoming / sha256).exists()
    assert lines == ["verify 1 pushed files"]


def test_a_damaged_one_is_deleted_and_named(layout):
    (layout.incoming / ("0" * 64)).write_bytes(b"weights")
    with pytest.raises(TritonOpsError, match="was damaged on its way") as caught:
        accept_pushed_files(layout, on_step=lambda line: None)
    assert "Deploy again" in str(caught.value.hint)
    assert list(layout.incoming.iterdir()) == []


def test_without_pushed_files_nothing_is_done(layout):
    accept_pushed_files(layout, on_step=pytest.fail)


def test_models_and_versions_that_are_not_listed_are_removed(tmp_path):
    for path in ("alpha/1", "alpha/2", "old/1"):
        (tmp_path / "triton" / path).mkdir(parents=True)
    version = SimpleNamespace(name="alpha", version=2)
    catalog: Any = SimpleNamespace(versions=[version], names=["alpha"])
    remove_unlisted(catalog, Repository(tmp_path / "triton"))
    left = sorted(str(path.relative_to(tmp_path / "triton")) for path in (tmp_path / "triton").rglob("*"))
    assert left == ["alpha", "alpha/2"]


PROBLEMS: tuple[tuple[Severity, str], ...] = (("error", "one"), ("warning", "two"), ("error", "three"))


def test_the_errors_of_the_checks_are_one_failure_for_each_model():
    findings = [Finding("alpha", "code", severity, (), what, "", "edit it") for severity, what in PROBLEMS]
    with pytest.raises(PartialFailureError, match=r"alpha: one \(fix: edit it\); three \(fix: edit it\)"):
        prepare._raise_on_errors(findings)
    prepare._raise_on_errors(findings[1:2])
