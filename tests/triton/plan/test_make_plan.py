"""The plan of each state of a version, on disk and on the server; nothing is loaded."""

import shutil

import onnx
import pytest

from tests.onnx_models import affine, config_pbtxt, write_model
from tests.triton.projects import write_ensemble
from tests.triton.stub_client import StubClient, row
from tritonops.errors import UnknownModelError
from tritonops.models.disk import digest_cache
from tritonops.models.download import download
from tritonops.project import Project
from tritonops.triton.disk.comparison import save_record
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.plan.make_plan import make_plan


@pytest.fixture
def root(tmp_path):
    """A project that declares version 1 of `m`, with a config for it."""
    onnx.save_model(affine(), tmp_path / "m.onnx")
    (tmp_path / "models.toml").write_text('[[models.m]]\npath = "m.onnx"\ntriton_version = 1\n')
    (tmp_path / "triton-config/m").mkdir(parents=True)
    (tmp_path / "triton-config/m/gpu.pbtxt").write_text(config_pbtxt(affine()))
    return tmp_path


def project(root):
    return Project.load(root, environ={}, cwd=root)


def install(root):
    assert download(project(root), overwrite=True).failed == ()
    shutil.copy(root / "triton-config/m/gpu.pbtxt", root / "triton/m/config.pbtxt")


def plan(root, client, **options):
    made = make_plan(project(root), client, **options)
    return {(each.name, each.version): (each.disk, each.server, each.actions, each.reason) for each in made.rows}


def serving(root, *rows):
    """A server that serves `m` from the config on disk, recorded as loaded."""
    client = StubClient(*rows, configs={"m": (root / "triton/m/config.pbtxt").read_text()})
    disk = ServedFolder.of(root / "triton", client.url)
    model = disk.read("m")
    assert model
    save_record(client, disk, model)
    return client


def test_a_missing_model_is_downloaded_configured_and_loaded(root):
    assert plan(root, StubClient()) == {
        ("m", None): (None, None, ("config",), "there is none on disk"),
        ("m", 1): ("absent", None, ("download", "load"), "not on disk"),
    }


def test_an_installed_model_that_is_not_served_is_loaded_with_the_servers_reason(root):
    install(root)
    assert plan(root, StubClient())["m", 1] == ("installed", None, ("load",), "not served")
    client = StubClient(row("m", 1, "UNAVAILABLE", "no memory"))
    assert plan(root, client)["m", 1] == ("installed", "UNAVAILABLE", ("load",), "no memory")


def test_a_model_that_is_served_as_on_disk_is_unchanged(root):
    install(root)
    assert plan(root, serving(root, row("m"))) == {("m", 1): ("installed", "READY", ("unchanged",), None)}


def test_a_plan_remembers_what_it_read_of_installed_files(root, monkeypatch):
    install(root)
    installed = root / "triton/m/1/model.onnx"
    assert project(root).store.digests.known(installed) is None
    monkeypatch.setattr(digest_cache, "SETTLED_NS", -(10**18))  # as if the file were older
    plan(root, StubClient())
    assert project(root).store.digests.known(installed)


def test_a_changed_file_is_downloaded_again_and_a_changed_config_is_loaded(root):
    install(root)
    client = serving(root, row("m"))
    (root / "triton/m/1/model.onnx").unlink()
    (root / "triton/m/1/model.onnx").write_bytes(b"another")
    assert plan(root, client)["m", 1][0::2] == ("other bytes", ("download", "load"))
    install(root)
    client.served_configs["m"].max_batch_size = 4
    rows = plan(root, client)
    assert rows["m", 1][2] == ("load",)


def test_a_served_model_without_a_record_is_unrecorded(root):
    install(root)
    text = (root / "triton/m/config.pbtxt").read_text()
    (model,) = make_plan(project(root), StubClient(row("m"), configs={"m": text})).models
    assert model.is_unrecorded


def test_a_disabled_model_is_unloaded_where_it_is_served(root):
    install(root)
    project(root).repository.disable("m")
    assert plan(root, StubClient(row("m"), configs={"m": ""}))["m", 1] == (
        *("disabled", "READY", ("unload",)),
        "disabled",
    )
    assert plan(root, StubClient())["m", 1] == ("disabled", None, ("unchanged",), "disabled")


def test_an_undeclared_model_is_kept_or_pruned(root):
    write_model(root / "triton", "extra")
    client = StubClient(row("extra"))
    assert plan(root, client)["extra", 1] == ("installed", "READY", ("unchanged",), "not in models.toml")
    assert plan(root, client, prune=True)["extra", 1][2] == ("unload", "disable")


def test_an_undeclared_version_is_removed_from_serving_with_prune(root):
    install(root)
    config = root / "triton/m/config.pbtxt"
    config.write_text(config.read_text() + "version_policy: { all { } }\n")
    shutil.copy(config, root / "triton-config/m/gpu.pbtxt")
    (root / "triton/m/2").mkdir()
    client = serving(root, row("m", 1), row("m", 2))
    assert plan(root, client)["m", 2][2:] == (("unchanged",), "not in models.toml")
    assert plan(root, client, prune=True)["m", 2][2] == ("remove from serving",)


def test_an_undeclared_ensemble_that_lost_a_step_is_loaded_again(root):
    write_model(root / "triton", "step")
    write_ensemble(root / "triton", "pair", "step")
    client = StubClient(row("pair", 1, "UNAVAILABLE", "unloaded"), configs={"pair": ""})
    assert plan(root, client)["pair", 1][2] == ("unchanged",)
    disk = ServedFolder.of(root / "triton", client.url)
    pair = disk.read("pair")
    assert pair
    save_record(client, disk, pair)
    assert plan(root, client)["pair", None] == (
        *("installed", "UNAVAILABLE", ("load",)),
        "not in models.toml; its step step is not served",
    )


def test_a_config_that_cannot_be_read_blocks_its_model_alone(root):
    (root / "triton-config/m/gpu.pbtxt").write_text("nonsense")
    write_model(root / "triton", "extra")
    made = make_plan(project(root), StubClient())
    assert [model.name for model in made.models if model.blocked_by] == ["m"]


def test_include_names_known_models_only(root):
    assert {name for name, _ in plan(root, StubClient(row("other")), include=["other"])} == {"other"}
    with pytest.raises(UnknownModelError, match="others"):
        plan(root, StubClient(row("other")), include=["others"])
