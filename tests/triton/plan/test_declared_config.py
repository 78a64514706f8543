"""The config that triton-config and models.toml declare for a model, against the one on disk."""

import pytest

from tests.onnx_models import affine, config_pbtxt
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.configs.version_policy import VersionPolicy, set_version_policy
from tritonops.models.disk.repository import Repository
from tritonops.triton.disk.served_folder import LoadRecord, pack_config
from tritonops.triton.plan.declared_config import declared_config, without_undeclared

GPU, CPU = (config_pbtxt(affine(), extra=f"instance_group {{ kind: KIND_{kind} }}") for kind in ("GPU", "CPU"))


@pytest.fixture
def find(tmp_path):
    """Find the declared config of a model, with these texts on disk and in triton-config."""
    (tmp_path / "models.toml").write_text('[[models.m]]\npath = "m.onnx"\ntriton_version = 1\n')
    repository = Repository(tmp_path / "triton")

    def find(on_disk=None, *, variant=None, record=None, **sources):
        folder = tmp_path / "triton-config" / "m"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in sources.items():
            (folder / f"{name}.pbtxt").write_text(text)
        (tmp_path / "triton" / "m").mkdir(parents=True, exist_ok=True)
        if on_disk is not None:
            (tmp_path / "triton" / "m" / "config.pbtxt").write_text(on_disk)
        catalog = load_catalog(tmp_path / "models.toml")
        return declared_config(catalog, repository, folder.parent, "m", variant=variant, record=record)

    return find


def test_without_one_on_disk_it_is_the_gpus_and_has_to_be_written(find):
    found = find(gpu=GPU, cpu=CPU)
    assert (found.on_disk, found.differs, found.error) == (None, True, None)
    assert "KIND_GPU" in str(found.text)
    assert str(found.diff).startswith("--- /dev/null\n+++ triton-config\n")


def test_one_on_disk_that_matches_either_variant_is_kept_unless_one_is_chosen(find):
    cpu = find(gpu=GPU, cpu=CPU, variant="cpu").text
    assert not find(cpu, gpu=GPU, cpu=CPU).differs
    chosen = find(cpu, gpu=GPU, cpu=CPU, variant="gpu")
    assert chosen.differs
    assert "+instance_group { kind: KIND_GPU }" in str(chosen.diff)


def test_one_on_disk_without_a_source_is_kept(find):
    found = find("max_batch_size: 1")
    assert (found.differs, found.diff, found.text) == (False, None, "max_batch_size: 1")


def test_a_missing_variant_is_an_error(find):
    assert str(find(gpu=GPU, variant="cpu").error).startswith("there is no ")


def test_a_text_that_does_not_parse_is_an_error(find):
    found = find("nonsense")
    assert "config.pbtxt" in str(found.error)
    assert (found.config, found.steps) == (None, ())


def test_a_text_that_triton_has_loaded_is_not_parsed_again(find):
    assert find("nonsense", record=loaded("nonsense", "")).error is not None
    assert find("nonsense", record=loaded("nonsense", "name: 'm'")).error is None


def test_the_steps_of_an_ensemble_that_triton_has_loaded_are_those_that_it_serves(find):
    text = "ensemble_scheduling { step { model_name: 'a' } }"
    assert find(text, record=loaded(text, "ensemble_scheduling { step { model_name: 'b' } }")).steps == ("b",)
    assert find(text, record=loaded(f"{text}#", "ensemble_scheduling { step { model_name: 'b' } }")).steps == ("a",)


def loaded(text, served):
    """The record of a load of this text, after which Triton served another one."""
    return LoadRecord({"1": "a fingerprint"}, text, pack_config(parse_config(served)) if served else "", 0)


def test_a_policy_that_was_chosen_with_serve_is_kept(find):
    declared = find(gpu=GPU).text
    chosen = set_version_policy(declared, VersionPolicy("specific", versions=(2,)))
    found = find(chosen, gpu=GPU)
    assert (found.differs, found.is_chosen) == (False, True)
    assert found.policy == VersionPolicy("specific", versions=(2,))


def test_undeclared_versions_leave_the_policy_and_declared_ones_remain(find):
    chosen = set_version_policy(find(gpu=GPU).text, VersionPolicy("specific", versions=(1, 2)))
    pruned = without_undeclared(find(chosen, gpu=GPU), {1}, (1, 2))
    assert pruned.policy == VersionPolicy("specific", versions=(1,))
    assert pruned.differs
    assert without_undeclared(pruned, {1}, (1, 2)) is pruned
