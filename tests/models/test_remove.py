"""A model taken out of models.toml and models.lock, and off the disk."""

import pytest

from tests.models.additions import CATALOG, from_hub
from tritonops.errors import TritonOpsError, UnknownModelError
from tritonops.models.catalog.lockfile import load_lock
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.remove import plan_removal, remove_model
from tritonops.project import Project


def test_a_removal_takes_the_entries_and_their_pins_and_leaves_the_disk_alone(house, clip):
    from_hub(house)
    remove_model(Project(house), plan_removal(Project(house), "clip", version=None, files=False))
    assert house.models_toml.read_text().strip() == CATALOG.strip()
    assert load_lock(house.lock_path) == {}
    assert (house.models_dir / "clip" / "1" / "model.onnx").exists()


def test_a_removal_with_files_takes_the_version_or_with_the_last_one_the_model_and_its_configs(house, clip):
    from_hub(house)
    from_hub(house)
    removal = plan_removal(Project(house), "clip", version=1, files=True)
    assert removal.folders == (house.models_dir / "clip" / "1",)
    remove_model(Project(house), removal)
    assert [path.name for path in sorted((house.models_dir / "clip").iterdir())] == ["2", "config.pbtxt"]
    assert [entry.label for entry in load_catalog(house.models_toml).versions] == ["clip/2"]
    remove_model(Project(house), plan_removal(Project(house), "clip", version=2, files=True))
    assert not (house.models_dir / "clip").exists()
    assert not (house.config_dir / "clip").exists()
    assert [path.name for path in house.models_dir.with_name(".store").glob("removed-*")] == []


def test_what_is_not_there_cannot_be_removed(house, clip):
    from_hub(house)
    with pytest.raises(UnknownModelError):
        plan_removal(Project(house), "clop", version=None, files=False)
    with pytest.raises(TritonOpsError, match="no version 7"):
        plan_removal(Project(house), "clip", version=7, files=False)
