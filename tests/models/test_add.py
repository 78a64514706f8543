"""A model comes from its source to where Triton finds it, and goes again."""

import pytest

from tests.models.additions import CATALOG, add, from_hub
from tests.onnx_models import affine, external_weights
from tritonops.errors import CatalogError, SourceError, TritonOpsError
from tritonops.models.add import add_model
from tritonops.models.catalog.catalog import HubSource, PathSource
from tritonops.models.catalog.lockfile import load_lock
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.configs.config_options import ConfigOptions
from tritonops.models.configs.pbtxt import read_config
from tritonops.project import Project


def test_a_model_of_the_hub_is_pinned_downloaded_and_given_configs(house, clip):
    added = from_hub(house)
    assert (added.entry.label, added.problem) == ("clip/1", None)
    assert sorted(path.name for path in added.configs) == ["cpu.pbtxt", "gpu.pbtxt"]
    (entry,) = load_catalog(house.models_toml).versions
    assert isinstance(entry.source, HubSource)
    pin = load_lock(house.lock_path)["clip/1"]
    assert entry.source.revision == pin.commit
    assert house.models_toml.read_text().startswith(f"{CATALOG}\n[[models.clip]]\n")
    assert read_config(house.models_dir / "clip" / "config.pbtxt").max_batch_size == 8
    assert (house.models_dir / "clip" / "1" / "model.onnx").read_bytes() == affine(2.0).SerializeToString()


def test_the_next_version_of_a_model_is_served_beside_the_first(house, clip):
    from_hub(house)
    added = from_hub(house)
    assert (added.entry.label, added.configs, added.problem) == ("clip/2", (), None)
    policy = read_config(house.models_dir / "clip" / "config.pbtxt").version_policy
    assert list(policy.specific.versions) == [1, 2]


def test_a_version_keeps_the_config_on_disk_whichever_of_the_two_it_is(house, clip):
    from_hub(house)
    values = {"repo_id": "team/clip", "model_path": "weights/model.onnx"}
    added = add_model(Project(house), "clip", values, variant="gpu")
    assert (added.variant, added.problem) == ("cpu", None)
    assert any("serves versions 1,2" in line for line in added.notes)
    config = house.models_dir / "clip" / "config.pbtxt"
    assert "KIND_CPU" in config.read_text()
    config.write_text(config.read_text() + "# by hand\n")
    added = add_model(Project(house), "clip", values, variant="gpu")
    assert (added.variant, added.keeps_config) == (None, True)
    assert added.problem == f"{config} is none of them, and was kept"
    (house.config_dir / "clip" / "cpu.pbtxt").unlink()
    assert add_model(Project(house), "clip", values, variant="gpu").keeps_config


def test_options_of_generated_configs_that_were_not_used_are_named(house, clip):
    from_hub(house)
    values = {"repo_id": "team/clip", "model_path": "weights/model.onnx"}
    added = add_model(Project(house), "clip", values, variant="cpu", options=ConfigOptions(max_batch_size=2))
    assert "the options for generated ones were not used" in added.notes[0]


def test_a_file_or_a_folder_of_this_machine_is_written_as_seen_from_models_toml(house, tmp_path):
    (tmp_path / "x.onnx").write_bytes(affine().SerializeToString())
    external_weights([1.0, 2.0], tmp_path / "folder")
    add(house, "single", path=str(tmp_path / "x.onnx"))
    added = add(house, "folder", path=str(tmp_path / "folder"), type="directory")
    assert added.problem is None
    assert added.entry.source == PathSource(tmp_path / "folder")
    assert 'path = "../x.onnx"' in house.models_toml.read_text()
    assert (house.models_dir / "folder" / "1" / "model.onnx" / "model.onnx.data").exists()


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"model_path": "weights/other.onnx"}, SourceError),
        ({"repo_id": "team/absent"}, SourceError),
        ({"repo_id": "../x"}, CatalogError),
        ({"triton_version": 0}, CatalogError),
    ],
)
def test_what_the_source_does_not_have_leaves_models_toml_as_it_was(house, clip, values, error):
    with pytest.raises(error):
        from_hub(house, **values)
    assert house.models_toml.read_text() == CATALOG
    assert not (house.models_dir / "clip").exists()


def test_a_download_that_fails_takes_the_entry_out_again(house, tmp_path):
    with pytest.raises(TritonOpsError, match="clip/1 was not added"):
        add(house, path=str(tmp_path / "absent.onnx"))
    assert house.models_toml.read_text() == CATALOG


def test_a_model_that_is_no_onnx_is_added_and_the_missing_config_is_said(house, tmp_path):
    (tmp_path / "model.plan").write_bytes(b"plan")
    added = add(house, path=str(tmp_path / "model.plan"), local_name="model.plan")
    assert added.problem is not None
    assert added.problem == f"clip: {house.models_dir / 'clip' / '1' / 'model.plan'} is not an ONNX file"
    assert (house.models_dir / "clip" / "1" / "model.plan").exists()


def test_configs_that_were_written_by_hand_are_used(house, clip):
    folder = house.config_dir / "clip"
    folder.mkdir(parents=True)
    (folder / "cpu.pbtxt").write_text("max_batch_size: 3\n")
    assert from_hub(house).configs == ()
    assert (house.models_dir / "clip" / "config.pbtxt").read_text() == "max_batch_size: 3\n"
