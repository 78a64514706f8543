"""A load of an ensemble loads its component models; one of a component model leaves its ensembles served."""

import json

import pytest

from tests.onnx_models import affine, write_model
from tests.triton.projects import write_ensemble
from tritonops.errors import LoadError
from tritonops.triton.infer import infer
from tritonops.triton.load import load_model


def put(triton, name, data):
    """Replace a version's file as an installation does: by a rename."""
    (triton.models_dir / name / "new").write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    (triton.models_dir / name / "new").replace(triton.models_dir / name / "1/model.onnx")


def ensemble_of(triton, tag):
    write_model(triton.models_dir, f"{tag}_step", {1: affine(1, 1)})
    write_ensemble(triton.models_dir, f"{tag}_ensemble", f"{tag}_step")
    return f"{tag}_step", f"{tag}_ensemble"


def answer(client, name):
    return float(infer(client, name).responses[0][0].array[0, 0])


def test_an_ensemble_brings_the_new_bytes_of_a_step_and_says_so(triton, client, disk):
    step, ensemble = ensemble_of(triton, "fresh")
    assert load_model(client, ensemble, disk=disk).steps == (step,)
    assert load_model(client, ensemble, disk=disk).steps == ()
    put(triton, step, affine(1, 7))
    result = load_model(client, ensemble, disk=disk)
    assert (result.verdict, result.steps, answer(client, ensemble)) == ("current", (step,), 7)
    assert load_model(client, step, disk=disk).verdict == "current"


def test_a_step_that_fails_behind_an_ensemble_is_an_error_though_the_old_one_is_served(triton, client, disk):
    """Triton calls the ensemble's load done, since the step's older version goes on answering."""
    step, ensemble = ensemble_of(triton, "broken")
    load_model(client, ensemble, disk=disk)
    put(triton, step, b"no model")
    for _ in range(2):
        with pytest.raises(LoadError, match=f"^{ensemble}: its step {step}: version 1 is at UNAVAILABLE") as caught:
            load_model(client, ensemble, disk=disk)
        assert "Still served, as loaded before" in str(caught.value.hint)
    assert answer(client, ensemble) == 1


def test_a_step_and_the_ensemble_of_its_ensemble_are_seen(triton, client, disk):
    step, ensemble = ensemble_of(triton, "nested")
    write_ensemble(triton.models_dir, "nested_outer", ensemble)
    assert load_model(client, "nested_outer", disk=disk).steps == (step, ensemble)
    put(triton, step, affine(1, 5))
    assert load_model(client, step, disk=disk).dependents == (ensemble, "nested_outer")
    assert answer(client, "nested_outer") == 5


def test_a_circle_of_ensembles_ends_with_tritons_reason(triton, client, disk):
    write_ensemble(triton.models_dir, "circle_a", "circle_b")
    write_ensemble(triton.models_dir, "circle_b", "circle_a")
    with pytest.raises(LoadError, match=r"circle_a: .*circular dependency between ensembles: circle_b -> "):
        load_model(client, "circle_a", disk=disk)


@pytest.fixture
def tested(triton, monkeypatch, tmp_path, inv):
    """An ensemble in service, and smoke tests of it and its step that expect an answer of 1."""
    step, ensemble = ensemble_of(triton, f"tested{id(tmp_path)}")
    monkeypatch.setenv("TRITON_URL", triton.grpc_url)
    monkeypatch.setenv("TRITON_MODELS_DIR", str(triton.models_dir))
    monkeypatch.setenv("TRITON_CONFIG_DIR", str(tmp_path))
    for name in (step, ensemble):
        (tmp_path / name).mkdir()
        (tmp_path / name / "smoke.json").write_text('{"outputs": {"y": [[1, 1, 1]]}}')
    code, out, err = inv("triton.load", ensemble, "--json")
    assert (code, err) == (0, "")
    return step, ensemble, json.loads(out)


def test_what_came_with_a_load_and_what_uses_it_are_smoke_tested_and_named(triton, tested, inv):
    step, ensemble, loaded = tested
    assert (loaded["steps"], loaded["dependents"]) == ([step], [])
    assert [result["model"] for result in loaded["smoke_tests"]] == [ensemble, step]
    put(triton, step, affine(1, 1))
    code, _, err = inv("triton.load", step)
    assert code == 0
    assert err == f"{step}: loaded\nstill in service, and using it: {ensemble}\nsmoke test passed: {step}, {ensemble}\n"
    put(triton, step, affine(1, 2))
    code, out, err = inv("triton.load", ensemble)
    assert code == 1
    assert f"loaded with it: {step}\n" in err
    assert f"  {ensemble}: y[0, 0] is 2.0, expected 1.0" in err
    code, out, _ = inv("triton.load", ensemble, "--json")
    assert (code, json.loads(out)["smoke_tests"]) == (0, [])
