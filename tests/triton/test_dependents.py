"""No change of a model takes an ensemble out of service unsaid: it is refused with that name, or all goes on."""

from dataclasses import replace

import onnx
import pytest
from onnx import TensorProto

from tests.onnx_models import affine, config_pbtxt, identity, write_model
from tests.triton.ensemble_matrix import asked_all_the_time
from tests.triton.projects import write_ensemble
from tritonops.errors import DependentError, InputError, LoadError
from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.triton.infer import infer
from tritonops.triton.load import load_model
from tritonops.triton.serve import load_version, serve, unload_version
from tritonops.triton.unload import unload_model


def pair(triton, client, disk, tag, *, version=-1, policy="version_policy: { all { } }"):
    """A step with versions 1 and 2, and an ensemble of it, both served."""
    step, ensemble = f"step_{tag}", f"ensemble_{tag}"
    write_model(triton.models_dir, step, {1: affine(1, 1), 2: affine(1, 2)}, extra=policy)
    write_ensemble(triton.models_dir, ensemble, step, version=version)
    load_model(client, step, disk=disk)
    load_model(client, ensemble, disk=disk)
    return step, ensemble


def answer(client, name):
    return float(infer(client, name).responses[0][0].array[0, 0])


def serve_2(client, step, disk):
    serve(client, step, VersionPolicy.parse("2"), disk=disk)


def unload_1(client, step, disk):
    unload_version(client, step, 1, disk=disk)


def load_with_policy_2(client, step, disk):
    config = disk.models_dir / step / "config.pbtxt"
    config.write_text(config.read_text().replace("all { }", "specific { versions: [2] }"))
    load_model(client, step, disk=disk)


def load_newest_only(client, step, disk):
    config = disk.models_dir / step / "config.pbtxt"
    config.write_text(config.read_text().replace("version_policy: { all { } }", ""))
    load_model(client, step, disk=disk)


CHANGES = [serve_2, unload_1, load_with_policy_2, load_newest_only]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_version_that_an_ensemble_pins_is_not_taken_out_of_service(triton, client, disk, change):
    step, ensemble = pair(triton, client, disk, f"pinned_{change.__name__}", version=1)
    with asked_all_the_time(triton.grpc_url, [ensemble]) as failures:
        with pytest.raises(DependentError, match=f"{ensemble} needs version 1 of {step}") as caught:
            change(client, step, disk)
        assert f"inv triton.unload {ensemble}" in str(caught.value.hint)
        assert answer(client, ensemble) == 1
    assert not failures


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_an_ensemble_that_takes_the_newest_version_is_served_all_along(triton, client, disk, change):
    step, ensemble = pair(triton, client, disk, f"newest_{change.__name__}")
    with asked_all_the_time(triton.grpc_url, [ensemble]) as failures:
        change(client, step, disk)
    assert not failures
    assert answer(client, ensemble) == 2


def test_a_version_beside_the_pinned_one_comes_and_goes(triton, client, disk):
    step, ensemble = pair(
        triton, client, disk, "beside", version=1, policy="version_policy: { specific { versions: [1] } }"
    )
    with asked_all_the_time(triton.grpc_url, [ensemble]) as failures:
        load_version(client, step, 2, disk=disk)
        unload_version(client, step, 2, disk=disk)
    assert not failures


def replace_step(triton, step, graph):
    """Another graph and the config that fits it."""
    for version in (1, 2):
        onnx.save_model(graph, triton.models_dir / step / "new.onnx")
        (triton.models_dir / step / "new.onnx").replace(triton.models_dir / step / str(version) / "model.onnx")
    (triton.models_dir / step / "config.pbtxt").write_text(config_pbtxt(graph, extra="version_policy: { all { } }"))


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (identity(TensorProto.INT64), "uses its input 'x', which would be TYPE_INT64"),
        (affine(width=4), r"uses its input 'x', which would be TYPE_FP32 \[4\] instead of TYPE_FP32 \[3\]"),
    ],
)
def test_a_step_with_another_signature_is_refused_before_it_is_loaded(triton, client, disk, graph, reason, request):
    step, ensemble = pair(triton, client, disk, f"signature_{abs(hash(reason))}")
    replace_step(triton, step, graph)
    with asked_all_the_time(triton.grpc_url, [ensemble]) as failures, pytest.raises(DependentError, match=reason):
        load_model(client, step, disk=disk)
    assert not failures
    assert answer(client, ensemble) == 2


def test_two_ensembles_on_one_step_are_both_named(triton, client, disk):
    step, first = pair(triton, client, disk, "two", version=1)
    write_ensemble(triton.models_dir, "another_ensemble_two", step, version=1)
    load_model(client, "another_ensemble_two", disk=disk)
    with pytest.raises(DependentError) as caught:
        serve_2(client, step, disk)
    assert f"{first} needs version 1" in str(caught.value)
    assert "another_ensemble_two needs version 1" in str(caught.value)


def test_an_ensemble_on_disk_that_is_not_served_counts_too(triton, client, disk):
    """It would not come up at the next start."""
    step, ensemble = pair(triton, client, disk, "unserved", version=1)
    unload_model(client, ensemble, disk=disk)
    with pytest.raises(DependentError, match=f"{ensemble} needs version 1"):
        serve_2(client, step, disk)


def test_an_ensemble_without_a_folder_counts_as_long_as_it_is_served(triton, client, disk):
    step, ensemble = pair(triton, client, disk, "no_folder", version=1)
    (triton.models_dir / ensemble).rename(triton.models_dir.with_name(f"away_{ensemble}"))
    with pytest.raises(DependentError, match=f"{ensemble} needs version 1"):
        serve_2(client, step, disk)


def test_the_whole_step_is_not_unloaded_under_its_ensemble(triton, client, disk):
    step, ensemble = pair(triton, client, disk, "whole")
    with asked_all_the_time(triton.grpc_url, [ensemble]) as failures, pytest.raises(InputError, match=ensemble):
        unload_model(client, step, disk=disk)
    assert not failures


@pytest.fixture
def called(triton, client, disk, request):
    """A model in service that calls another one by itself, and the disk with that declaration."""
    called, caller = (f"{kind}_{abs(hash(request.node.name))}" for kind in ("called", "caller"))
    for name in (called, caller):
        write_model(triton.models_dir, name, {1: affine(1, 1), 2: affine(1, 2)}, extra="version_policy: { all { } }")
        load_model(client, name, disk=disk)
    return called, caller, replace(disk, callers={called: (caller,)})


def test_a_model_is_not_unloaded_under_one_that_calls_it(client, called):
    name, caller, disk = called
    with pytest.raises(InputError, match=rf"{name}: it is called by {caller} \(depends_on in models.toml\)") as caught:
        unload_model(client, name, disk=disk)
    assert caught.value.hint == f"Unload {caller} first."
    unload_model(client, caller, disk=disk)
    assert unload_model(client, name, disk=disk).verdict == "unloaded"


def test_a_model_does_not_change_its_signature_under_one_that_calls_it(triton, client, called):
    name, caller, disk = called
    replace_step(triton, name, identity(TensorProto.INT64))
    with pytest.raises(DependentError, match=f"{caller} uses its input 'x', which would be TYPE_INT64"):
        load_model(client, name, disk=disk)
    unload_model(client, caller, disk=disk)
    assert load_model(client, name, disk=disk).dependents == ()


def test_one_that_calls_a_model_is_named_after_its_load(client, called):
    name, caller, disk = called
    assert serve(client, name, VersionPolicy.parse("2"), disk=disk).dependents == (caller,)


def test_a_load_without_the_servers_disk_tells_what_it_took_out_of_service(triton, client, disk):
    """As on another machine: what the load would change is not to be seen before."""
    step, ensemble = pair(triton, client, disk, "unseen", version=1)
    assert load_model(client, step).dependents == (ensemble,)
    config = triton.models_dir / step / "config.pbtxt"
    config.write_text(config.read_text().replace("all { }", "specific { versions: [2] }"))
    with pytest.raises(LoadError, match=f"{step} is loaded, but took {ensemble} out of service") as caught:
        load_model(client, step)
    assert caught.value.hint == f"To see why: inv triton.load {ensemble}"


def test_an_ensemble_that_went_out_of_service_all_the_same_is_a_failed_load(triton, client, disk):
    """Its own config has become one that Triton refuses, which shows when Triton reads it again with the step."""
    step, ensemble = pair(triton, client, disk, "lost", version=1)
    config = triton.models_dir / ensemble / "config.pbtxt"
    config.write_text(config.read_text().replace("model_version: 1", "model_version: 3"))
    with pytest.raises((DependentError, LoadError), match=ensemble):
        serve_2(client, step, disk)
