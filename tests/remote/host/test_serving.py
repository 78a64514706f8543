"""A running Triton updated after a change on disk: what is loaded and unloaded, in which order."""

from types import SimpleNamespace
from typing import Any

import pytest

from tritonops.errors import PartialFailureError, ServerDiedError, TritonError
from tritonops.remote.host import serving

_CLIENT: Any = None


class Triton:
    """A server that serves what it was told to load, and refuses some models."""

    def __init__(self, monkeypatch, models_dir, *served, bad=()):
        self.served, self.bad, self.calls = set(served), set(bad), []
        self.discarded: list[str] = []
        self.disk: Any = SimpleNamespace(models_dir=models_dir, discard=self.discarded.append)
        monkeypatch.setattr(serving, "ready_versions", lambda client: tuple((name, 1) for name in sorted(self.served)))
        monkeypatch.setattr(serving, "load_model", self.load)
        monkeypatch.setattr(serving, "unload_model", self.unload)
        monkeypatch.setattr(serving, "list_models", lambda client: [])
        monkeypatch.setattr(serving, "ensembles", lambda client, disk, rows: {"both": ["alpha"]})
        monkeypatch.setattr(serving, "ensemble_steps", lambda config: config)

    def load(self, client, name, *, disk):
        self.calls.append(f"load {name}")
        if name in self.bad:
            raise TritonError(f"{name}: cannot load\nmore")
        self.served.add(name)

    def unload(self, client, name, *, disk):
        self.calls.append(f"unload {name}")
        self.served.discard(name)

    def update(self, *changed, proved=(), optional=()):
        lines: list[str] = []
        serving.update_server(_CLIENT, self.disk, changed, optional=optional, proved=proved, on_step=lines.append)
        return lines


@pytest.fixture
def models_dir(tmp_path):
    for name in ("alpha", "beta"):
        (tmp_path / "triton" / name / "1").mkdir(parents=True)
        (tmp_path / "triton" / name / "1/model.onnx").touch()
    return tmp_path / "triton"


def test_changed_models_and_those_that_are_not_served_are_loaded_and_others_unloaded_last(monkeypatch, models_dir):
    triton = Triton(monkeypatch, models_dir, "alpha", "old")
    lines = triton.update("alpha", proved=["alpha", "beta"])
    assert triton.calls == ["load alpha", "load beta", "unload old"]
    assert triton.discarded == ["alpha", "beta"]
    assert lines == triton.calls


def test_a_model_that_is_not_proved_is_compared_and_one_that_is_left_alone(monkeypatch, models_dir):
    triton = Triton(monkeypatch, models_dir, "alpha", "beta")
    assert triton.update(proved=["alpha"]) == []
    assert (triton.calls, triton.discarded) == (["load beta"], [])


def test_an_ensemble_is_unloaded_before_its_component_models(monkeypatch, tmp_path):
    (tmp_path / "triton").mkdir()
    triton = Triton(monkeypatch, tmp_path / "triton", "alpha", "both")
    triton.update()
    assert triton.calls == ["unload both", "unload alpha"]


def test_all_are_tried_and_each_failure_is_named_but_an_optional_one_only_reported(monkeypatch, models_dir):
    triton = Triton(monkeypatch, models_dir, bad=["alpha"])
    with pytest.raises(PartialFailureError, match="alpha: cannot load"):
        triton.update()
    assert triton.served == {"beta"}
    assert triton.update(optional=["alpha"], proved=["beta"])[-1].endswith("is not served: alpha: cannot load")


def test_a_model_that_is_not_ready_in_the_end_is_a_failure(monkeypatch, models_dir):
    triton = Triton(monkeypatch, models_dir, "alpha")
    monkeypatch.setattr(serving, "load_model", lambda client, name, *, disk: None)
    with pytest.raises(PartialFailureError, match="beta: not READY in the end"):
        triton.update(proved=["alpha"])


def test_a_server_that_died_ends_it_at_once(monkeypatch, models_dir):
    def die(client, name, *, disk):
        raise ServerDiedError("Triton has ended")

    triton = Triton(monkeypatch, models_dir)
    monkeypatch.setattr(serving, "load_model", die)
    with pytest.raises(ServerDiedError):
        triton.update()
