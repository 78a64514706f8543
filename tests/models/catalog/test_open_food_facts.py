"""The project's own models.toml and configs."""

import pytest

from tests.paths import PROJECT
from tritonops.models.catalog.catalog import HubSource
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.configs.pbtxt import read_config

CATALOG = load_catalog(PROJECT / "models.toml")
CONFIGS = sorted((PROJECT / "triton-config").glob("*/*.pbtxt"))


def test_the_eleven_models_of_open_food_facts_are_pinned_to_commits():
    assert len(CATALOG.versions) == 11
    for version in CATALOG.versions:
        assert isinstance(version.source, HubSource)
        assert len(version.source.revision) == 40


def test_every_model_but_one_has_both_configs_and_every_config_has_a_model():
    configs = {(path.parent.name, path.stem) for path in CONFIGS}
    with_figures = set(CATALOG.names) - {"price_tag_classification"}
    assert configs == {(name, variant) for name in with_figures for variant in ("cpu", "gpu")}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_config_parses_and_says_what_its_name_says(path):
    config = read_config(path)
    assert config.name == path.parent.name
    (group,) = config.instance_group
    assert (group.kind, list(group.gpus)) == ((group.KIND_GPU, [0]) if path.stem == "gpu" else (group.KIND_CPU, []))
    for tensors in (config.input, config.output):
        assert all(tensor.name and tensor.dims and tensor.data_type for tensor in tensors)


@pytest.mark.parametrize("name", sorted({path.parent.name for path in CONFIGS}))
def test_the_cpu_and_the_gpu_config_differ_in_their_instances_alone(name):
    cpu, gpu = (read_config(PROJECT / "triton-config" / name / f"{variant}.pbtxt") for variant in ("cpu", "gpu"))
    for config in (cpu, gpu):
        config.ClearField("instance_group")
    assert cpu == gpu
