"""A switch between two releases, with a server that does what the test says."""

import json
import os
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from tests.remote.fakes import RECORD
from tritonops.errors import NotRolledBackError, RolledBackError, TritonError
from tritonops.files import write_json
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.remote.host import switching
from tritonops.remote.host.restarts import Runtime
from tritonops.remote.host.switching import ServedModels, switch
from tritonops.remote.layout.paths import Layout


@pytest.fixture
def layout(tmp_path, monkeypatch):
    """Two releases with a model each, and a server without a life of its own."""
    for name in ("r000001-abc", "r000002-abc"):
        model = tmp_path / "releases" / name / "triton/alpha/1"
        model.mkdir(parents=True)
        (model / "model.onnx").write_text(name)
        write_json(tmp_path / "releases" / name / "release.json", asdict(replace(RECORD, id=name)))
    settings = SimpleNamespace(triton_url="localhost:1", triton_token=None, config_dir=tmp_path)
    monkeypatch.setattr(switching, "settings_of", lambda layout, release: settings)
    monkeypatch.setattr(switching, "require_pinned", lambda *arguments: None)
    monkeypatch.setattr(switching, "smoke_test", lambda *arguments, **options: None)
    monkeypatch.setattr(switching, "ignore_signals", lambda: None)
    monkeypatch.setattr(Runtime, "last_lines", lambda runtime: "  I am the log")
    monkeypatch.setattr(Runtime, "down", lambda runtime, *, on_step: on_step("stop"))
    made = Layout(tmp_path)
    made.models_dir.mkdir(parents=True)
    return made


def serving(monkeypatch, layout, *bad):
    """Let serve_release note each release, and fail for some of them."""
    served: list[str] = []

    def serve_release(layout, release, changed, *, optional, loads, on_step):
        assert json.loads(layout.switch_record.read_text())["to"]
        served.append(release.id)
        if release.id in bad:
            raise TritonError(f"{release.id} does not load")
        return ServedModels((("alpha", 1),), {}, DigestCache(layout.root / "digests.json"))

    monkeypatch.setattr(switching, "serve_release", serve_release)
    return served


def go(layout, before, to):
    current = layout.release(before) if before else None
    return switch(layout, current, layout.release(to), loads={}, on_step=lambda line: None)


OLD, NEW = "r000001-abc", "r000002-abc"


def test_a_switch_that_succeeds_makes_the_release_the_current_one(layout, monkeypatch):
    served = serving(monkeypatch, layout)
    assert go(layout, None, OLD).changed == ("alpha",)
    go(layout, OLD, NEW)
    assert served == [OLD, NEW]
    assert layout.current == layout.release(NEW)
    assert not layout.switch_record.exists()


def test_a_switch_that_fails_serves_the_release_before_again_and_says_why(layout, monkeypatch):
    layout.point_current_to(layout.release(OLD))
    layout.reserve.touch()
    served = serving(monkeypatch, layout, NEW)
    with pytest.raises(RolledBackError, match="r000002-abc does not load") as caught:
        go(layout, OLD, NEW)
    assert "I am the log" in str(caught.value)
    assert served == [NEW, OLD]
    assert layout.current == layout.release(OLD)
    assert not layout.switch_record.exists()
    assert not layout.reserve.exists()


def test_a_rollback_that_fails_too_leaves_the_record_for_the_next_deploy(layout, monkeypatch):
    layout.point_current_to(layout.release(OLD))
    serving(monkeypatch, layout, NEW, OLD)
    with pytest.raises(NotRolledBackError, match="The rollback to the release before failed too: r000001"):
        go(layout, OLD, NEW)
    assert json.loads(layout.switch_record.read_text())["from"] == OLD


def test_a_first_switch_that_fails_stops_the_server_and_leaves_no_model(layout, monkeypatch):
    serving(monkeypatch, layout, NEW)
    (layout.models_dir / "alpha").mkdir()
    os.link(layout.release(NEW).models_dir / "alpha/1/model.onnx", layout.models_dir / "alpha/model.onnx")
    with pytest.raises(RolledBackError):
        go(layout, None, NEW)
    assert [path for path in layout.models_dir.iterdir() if not path.name.startswith(".")] == []
    assert layout.current is None


def test_an_interruption_is_rolled_back_too(layout, monkeypatch):
    served = serving(monkeypatch, layout)

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(switching, "smoke_test", interrupt)
    with pytest.raises(RolledBackError, match="interrupted"):
        go(layout, OLD, NEW)
    assert served == [NEW, OLD]
