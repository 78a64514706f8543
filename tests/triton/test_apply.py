import json
import shutil
from dataclasses import replace

import onnx
import pytest
from tritonclient.grpc import InferenceServerClient

from tests.onnx_models import affine
from tests.processes import wait_for
from tests.triton.projects import ENSEMBLE, load_with_another_config, project_over, write_ensemble
from tritonops.errors import DifferenceError, InputError, PartialFailureError, UnknownModelError
from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.models.disk.repository import Repository
from tritonops.project import Project
from tritonops.triton.apply import apply, raise_unless_applied
from tritonops.triton.client.client import connect
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.load import load_model
from tritonops.triton.plan.load_order import in_load_order
from tritonops.triton.plan.make_plan import make_plan
from tritonops.triton.plan.plan import PlannedModel, raise_if_different
from tritonops.triton.serve import serve
from tritonops.triton.unload import unload_model

REFUSED = "dynamic_batching { preferred_batch_size: [ 64 ] }"
"""More than the maximum batch size: it parses, and Triton refuses it."""


@pytest.fixture(scope="module")
def server(start_module_triton, tmp_path_factory):
    models_dir = tmp_path_factory.mktemp("apply") / "triton"
    models_dir.mkdir()
    return start_module_triton(models_dir)


@pytest.fixture
def project(server, tmp_path):
    with connect(server.grpc_url) as client:
        yield project_over(client, server.models_dir, tmp_path)


def plan(project, **options):
    return make_plan(Project(project.settings), project.client, **options)


def applied(project, **options):
    """Apply, and give what was done and what failed."""
    result = apply(Project(project.settings), project.client, plan(project, **options))
    return {done.model: done.actions for done in result.done}, {failed.model: failed.error for failed in result.failed}


def rows(project, **options):
    return {
        (row.name, row.version): (row.disk, row.server, row.actions, row.reason)
        for row in plan(project, **options).rows
    }


def test_from_an_empty_disk_to_served_and_then_nothing_to_do(project):
    project.declare("fresh_a", 10)
    project.declare("fresh_b", 20)
    assert rows(project) == {
        ("fresh_a", None): (None, None, ("config",), "there is none on disk"),
        ("fresh_a", 1): ("absent", None, ("download", "load"), "not on disk"),
        ("fresh_b", None): (None, None, ("config",), "there is none on disk"),
        ("fresh_b", 1): ("absent", None, ("download", "load"), "not on disk"),
    }
    with pytest.raises(DifferenceError, match="2 of 2 models: fresh_a, fresh_b"):
        raise_if_different(plan(project))
    done, failed = applied(project)
    assert done == {"fresh_a": ("download", "config", "load"), "fresh_b": ("download", "config", "load")}
    assert failed == {}
    assert (project.answer("fresh_a"), project.answer("fresh_b")) == (10, 20)

    raise_if_different(plan(project))
    assert rows(project)["fresh_a", 1] == ("installed", "READY", ("unchanged",), None)
    assert applied(project) == ({}, {})


def test_other_bytes_under_the_same_version_are_fetched_and_served(project):
    project.declare("same_version", 10)
    applied(project)
    project.declare("same_version", 11)
    reason = "its entry in models.toml changed since models.lock was written"
    assert rows(project)["same_version", 1] == ("other bytes", "READY", ("download", "load"), reason)
    assert applied(project) == ({"same_version": ("download", "load")}, {})
    assert project.answer("same_version") == 11
    project.declare("same_version", 10)
    assert applied(project) == ({"same_version": ("download", "load")}, {})
    assert project.answer("same_version") == 10, "an older file, restored"


def test_files_that_somebody_else_changed_are_put_right(project):
    project.declare("tampered", 10)
    applied(project)
    place = project.settings.models_dir / "tampered/1/model.onnx"
    place.unlink()
    onnx.save_model(affine(1, 99), place)
    assert rows(project)["tampered", 1][:3] == ("other bytes", "READY", ("download", "load"))
    applied(project)
    assert project.answer("tampered") == 10


def test_the_config_of_another_clients_load_is_a_difference_and_replaced(project):
    project.declare("overridden", 1)
    applied(project)
    load_with_another_config(
        project.client,
        "overridden",
        lambda config: setattr(config.dynamic_batching, "max_queue_delay_microseconds", 500),
    )
    reason = "the config that is served is another one"
    assert rows(project)["overridden", 1] == ("installed", "READY", ("load",), reason)
    (planned,) = plan(project).models
    batching = "{ preferred_batch_size: [8] max_queue_delay_microseconds: 500 }"
    assert planned.diff == f"--- served\n+++ as it was loaded\n-dynamic_batching: {batching}"
    assert applied(project) == ({"overridden": ("load",)}, {})
    raise_if_different(plan(project))


def test_a_change_of_the_source_config_is_shown_as_a_diff_and_applied(project):
    project.declare("reconfigured", 1)
    applied(project)
    project.write_source_config("reconfigured", 'parameters { key: "threads" value { string_value: "2" } }')
    (model,) = plan(project).models
    assert '+parameters { key: "threads" value { string_value: "2" } }' in model.diff
    assert [row.actions for row in model.rows] == [("config",), ("load",)]
    assert applied(project) == ({"reconfigured": ("config", "load")}, {})
    assert project.client.config("reconfigured").parameters["threads"].string_value == "2"
    assert applied(project) == ({}, {})


def test_a_comment_more_is_no_reason_to_load(project):
    project.declare("commented", 1)
    applied(project)
    config = project.settings.models_dir / "commented/config.pbtxt"
    for text in (config, project.settings.config_dir / "commented/gpu.pbtxt"):
        text.write_text(text.read_text() + "# reviewed\n")
    raise_if_different(plan(project))


def test_a_field_that_was_taken_out_of_the_config_is_noticed(project):
    """The served config says more than the disk's, as it always does; only the note tells this from a completion."""
    project.declare("less", 1, extra='parameters { key: "threads" value { string_value: "2" } }')
    applied(project)
    project.write_source_config("less")
    Repository(project.settings.models_dir).write_config(
        "less", (project.settings.config_dir / "less/gpu.pbtxt").read_text()
    )
    (model,) = plan(project).models
    assert '-parameters { key: "threads" value { string_value: "2" } }' in model.diff
    applied(project)
    assert "threads" not in project.client.config("less").parameters


def test_a_server_that_serves_another_config_than_the_disk_is_put_right(project):
    project.declare("overridden", 1)
    applied(project)
    tensor = {"data_type": "TYPE_FP32", "dims": [3]}
    override = {"backend": "onnxruntime", "max_batch_size": 2, "input": [{"name": "x", **tensor}]}
    override["output"] = [{"name": "y", **tensor}]
    with InferenceServerClient(project.client.url) as somebody_else:
        somebody_else.load_model("overridden", config=json.dumps(override))
    assert project.client.config("overridden").max_batch_size == 2
    (model,) = plan(project).models
    assert "-max_batch_size: 2\n+max_batch_size: 8" in model.diff
    assert applied(project) == ({"overridden": ("load",)}, {})
    assert project.client.config("overridden").max_batch_size == 8


def test_every_declared_version_is_served_and_a_policy_set_by_hand_is_kept_and_shown(project):
    project.declare("several", 1, 2, 3)
    applied(project)
    assert project.served() == {"several": [1, 2, 3]}
    serve(
        project.client,
        "several",
        VersionPolicy.parse("2,3"),
        disk=ServedFolder.of(project.settings.models_dir, project.client.url),
    )
    planned = rows(project)
    assert planned["several", 1][2:] == (("unchanged",), "version_policy: 2,3, set with triton.serve")
    assert planned["several", 3][1:] == ("READY", ("unchanged",), "version_policy: 2,3, set with triton.serve")
    assert applied(project) == ({}, {})
    assert project.served() == {"several": [2, 3]}


def test_a_model_that_fails_is_named_and_the_others_are_brought_up(project):
    project.declare("good", 1)
    project.declare("no_config", 1, config=False)
    project.declare("gone", 1)
    project.declare("refused", 1, extra=REFUSED)
    (project.settings.project / "sources/gone-1.onnx").unlink()
    assert rows(project)["no_config", None][2] == ("blocked",)
    done, failed = applied(project)
    assert done["good"] == ("download", "config", "load")
    assert sorted(failed) == ["gone", "no_config", "refused"]
    assert "there is no" in failed["no_config"]
    assert "gone-1.onnx" in failed["gone"]
    assert "dynamic batching preferred size" in failed["refused"]
    assert project.served() == {"good": [1]}
    with pytest.raises(PartialFailureError, match=r"3 models differ from models\.toml"):
        raise_unless_applied(apply(Project(project.settings), project.client, plan(project)))


def test_a_config_that_triton_refuses_is_put_back_and_the_model_goes_on_answering(project):
    project.declare("kept_up", 5)
    applied(project)
    before = (project.settings.models_dir / "kept_up/config.pbtxt").read_text()
    project.write_source_config("kept_up", REFUSED)
    _, failed = applied(project)
    assert "dynamic batching preferred size" in failed["kept_up"]
    assert "Still served, as loaded before: version 1." in failed["kept_up"]
    assert (project.settings.models_dir / "kept_up/config.pbtxt").read_text() == before
    assert project.answer("kept_up") == 5
    with pytest.raises(DifferenceError, match="kept_up"):
        raise_if_different(plan(project))


def test_what_models_toml_does_not_have_is_left_alone_unless_pruned(project):
    project.declare("stays", 1)
    project.declare("goes", 2)
    applied(project)
    project.undeclare("goes")
    assert rows(project)["goes", 1] == ("installed", "READY", ("unchanged",), "not in models.toml")
    raise_if_different(plan(project))
    assert applied(project) == ({}, {})
    assert project.served() == {"goes": [1], "stays": [1]}

    assert plan(project, prune=True).pruned == ["goes"]
    assert applied(project, prune=True) == ({"goes": ("unload", "disable")}, {})
    assert project.served() == {"stays": [1]}
    assert Repository(project.settings.models_dir).disabled_names() == ("goes",)
    assert applied(project, prune=True) == ({}, {})


def test_nothing_goes_out_of_service_while_something_new_fails_to_come_up(project):
    project.declare("old_name", 1)
    applied(project)
    project.undeclare("old_name")
    project.declare("new_name", 1, extra=REFUSED)
    _, failed = applied(project, prune=True)
    assert sorted(failed) == ["new_name", "old_name"]
    assert "was not taken out of service" in failed["old_name"]
    assert project.served() == {"old_name": [1]}


def test_a_disabled_model_that_is_served_still_is_unloaded(project):
    project.declare("retired", 1)
    applied(project)
    Repository(project.settings.models_dir).disable("retired")
    assert rows(project)["retired", 1] == ("disabled", "READY", ("unload",), "disabled")
    assert applied(project) == ({"retired": ("unload",)}, {})
    assert project.served() == {}
    raise_if_different(plan(project))


def test_a_newer_version_that_models_toml_does_not_have_hides_the_declared_one_until_it_is_pruned(project):
    project.declare("hidden", 10)
    applied(project)
    folder = project.settings.models_dir / "hidden/7"
    folder.mkdir()
    onnx.save_model(affine(1, 70), folder / "model.onnx")
    assert "Triton serves version 7, which models.toml does not have" in rows(project)["hidden", None][3]
    assert "hidden" in applied(project)[1]
    assert project.served() == {"hidden": [1]}
    assert applied(project, prune=True) == ({"hidden": ("config", "load")}, {})
    assert project.answer("hidden") == 10
    raise_if_different(plan(project))


def test_what_somebody_else_loaded_is_taken_over_without_a_reload(project):
    project.declare("foreign", 3)
    applied(project)
    project.answer("foreign")
    wait_for(lambda: project.client.statistics("foreign")[0].inferences)  # counted a moment after the answer
    ServedFolder.of(project.settings.models_dir, project.client.url).discard("foreign")
    raise_if_different(plan(project))
    assert applied(project) == ({}, {})
    assert project.client.statistics("foreign")[0].inferences == 1, "it was reloaded"
    place = project.settings.models_dir / "foreign/1/model.onnx"
    assert ServedFolder.of(project.settings.models_dir, project.client.url).record("foreign") is not None
    assert place.exists()


def test_a_smoke_test_runs_after_a_load_and_a_wrong_answer_is_reported(project):
    project.declare("asked", 4)
    project.write_smoke_test("asked", outputs={"y": [[4, 4, 4]]})
    project.declare("asked_wrong", 4)
    project.write_smoke_test("asked_wrong", outputs={"y": [[5, 5, 5]]})
    done, failed = applied(project)
    assert done["asked"] == ("download", "config", "load", "smoke test")
    assert failed == {
        "asked_wrong": "is loaded, but its smoke test failed: y[0, 0] is 4.0, expected 5.0; 3 of 3 values differ"
    }


def test_only_the_included_models_are_planned(project):
    project.declare("one", 1)
    project.declare("other", 1)
    assert {name for name, _ in rows(project, include=["other"])} == {"other"}
    with pytest.raises(UnknownModelError, match="'othr'") as caught:
        plan(project, include=["othr"])
    assert "'other'" in str(caught.value.hint)


def test_a_broken_source_config_is_named_and_nothing_of_it_is_installed(project):
    project.declare("typo", 1)
    applied(project)
    source = project.settings.config_dir / "typo/gpu.pbtxt"
    source.write_text(source.read_text() + "max_batch_sise: 4\n")
    assert "max_batch_sise" in rows(project)["typo", None][3]
    _, failed = applied(project)
    assert "max_batch_sise" in failed["typo"]
    assert "max_batch_sise" not in (project.settings.models_dir / "typo/config.pbtxt").read_text()
    assert project.answer("typo") == 1


def test_pruned_ensembles_go_before_the_models_that_they_consist_of(project):
    project.declare("kept_alone", 1)
    project.declare("a_step_to_prune", 2)
    applied(project)
    project.undeclare("a_step_to_prune")
    folder = project.settings.models_dir / "pruned_ensemble"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(ENSEMBLE.replace("STEP", "a_step_to_prune"))
    project.client.load("pruned_ensemble", timeout=30)
    done, failed = applied(project, prune=True)
    assert failed == {}
    assert list(done) == ["pruned_ensemble", "a_step_to_prune"]
    assert project.served() == {"kept_alone": [1]}


def test_an_unmanaged_ensemble_that_lost_its_step_is_a_difference_and_one_that_was_unloaded_is_none(project):
    project.declare("its_step", 1, 2)
    applied(project)
    disk = ServedFolder.of(project.settings.models_dir, project.client.url)
    for name in ("losing", "unloaded"):
        write_ensemble(project.settings.models_dir, name, "its_step", version=1)
        load_model(project.client, name, disk=disk)
    unload_model(project.client, "unloaded", disk=disk)
    load_with_another_config(
        project.client, "its_step", lambda config: config.version_policy.specific.versions.remove(1)
    )
    reason = "not in models.toml; version 1 of its step its_step is not served"
    found = rows(project)
    assert found["losing", None] == ("installed", "UNAVAILABLE", ("load",), reason)
    assert found["unloaded", 1][2] == ("unchanged",)
    applied(project)
    assert (project.answer("losing"), "unloaded" in project.served()) == (1, False)
    raise_if_different(plan(project))


def test_an_unmanaged_ensemble_whose_step_another_client_changed_is_a_difference(project):
    project.declare("plain", 1)
    applied(project)
    disk = ServedFolder.of(project.settings.models_dir, project.client.url)
    shutil.copytree(project.settings.models_dir / "plain", project.settings.models_dir / "unmanaged")
    write_ensemble(project.settings.models_dir, "unfit", "unmanaged")
    for name in ("unmanaged", "unfit"):
        load_model(project.client, name, disk=disk)
    load_with_another_config(project.client, "unmanaged", lambda config: setattr(config, "max_batch_size", 4))
    found = rows(project)
    reason = "not in models.toml; its step unmanaged is served with another config than it was loaded with"
    assert found["unfit", None] == ("installed", "UNAVAILABLE", ("load",), reason)
    reason = "not in models.toml; the config that is served is another one"
    assert found["unmanaged", 1] == ("installed", "READY", ("unchanged",), reason)
    applied(project)
    assert project.answer("unfit") == 1
    raise_if_different(plan(project))


def test_nothing_is_planned_into_the_folder_of_a_model(project):
    project.declare("outer", 1)
    applied(project)
    inside = replace(project.settings, models_dir=project.settings.models_dir / "outer")
    with pytest.raises(InputError, match="one level too deep"):
        make_plan(Project(inside), project.client)


def test_a_model_comes_behind_those_that_it_calls_and_goes_before_them(project):
    project.declare("a_caller", 1, toml='depends_on = ["called"]')
    project.declare("called", 2)
    steps: list[str] = []
    apply(Project(project.settings), project.client, plan(project), on_step=steps.append)
    assert steps[1:] == ["load called", "load a_caller"]
    for name in ("a_caller", "called"):
        Repository(project.settings.models_dir).disable(name)
    assert list(applied(project)[0]) == ["a_caller", "called"]
    assert project.served() == {}


def test_ensembles_come_behind_their_steps_however_they_are_listed():
    models = [PlannedModel("a", (), steps=("b", "c")), PlannedModel("b", (), steps=("c",)), PlannedModel("c", ())]
    assert [model.name for model in in_load_order(models)] == ["c", "b", "a"]
    circular = [PlannedModel("a", (), steps=("b",)), PlannedModel("b", (), steps=("a",))]
    assert sorted(model.name for model in in_load_order(circular)) == ["a", "b"]


def test_a_source_that_changed_since_it_was_locked_blocks_its_model_and_no_other(project):
    project.declare("moved_on", 10)
    applied(project)
    onnx.save_model(affine(1, 11), project.settings.project / "sources" / "moved_on-10.onnx")
    project.declare("beside_moved_on", 20)
    assert rows(project)["moved_on", None][2] == ("blocked",)
    done, failed = applied(project)
    assert "download" in done["beside_moved_on"]
    assert list(failed) == ["moved_on"]
    assert "inv models.lock --include moved_on" in failed["moved_on"]
    assert (project.answer("moved_on"), project.answer("beside_moved_on")) == (10, 20)
