"""A deploy of models that would hang or crash Triton is refused before the switch: the host serves what it served."""

import pytest

from tests.server.python_models import CONFIG, ECHO
from tritonops.errors import DeployError

LABELLED = CONFIG.replace('name: "y"', 'name: "y" label_filename: "labels.txt"')


def declare(clone, name, *, local_name, toml="", config=CONFIG):
    """Have models.toml list a Python model, and give it a config."""
    file = clone.folder / "models" / f"{name}.py"
    if "directory" in toml:
        file.mkdir()
        (file / "x").touch()
    else:
        file.write_text(ECHO.format(initialize="pass"))
    path = f'path = "models/{name}.py"\nlocal_name = "{local_name}"\n'
    clone.models[name] = f"[[models.{name}]]\n{path}triton_version = 1\n{toml}\n"
    folder = clone.folder / "triton-config" / name
    folder.mkdir(parents=True)
    (folder / "cpu.pbtxt").write_text(config)


def no_model_py(clone):
    declare(clone, "no_model_py", local_name="other.py")


def model_py_a_folder(clone):
    declare(clone, "model_py_a_folder", local_name="model.py", toml='type = "directory"')


def labels_a_folder(clone):
    declare(clone, "labels_a_folder", local_name="model.py", config=LABELLED)
    (clone.folder / "triton-config/labels_a_folder/labels.txt").mkdir()
    (clone.folder / "triton-config/labels_a_folder/labels.txt/keep").touch()


def config_a_folder(clone):
    declare(clone, "config_a_folder", local_name="model.py")
    (clone.folder / "triton-config/config_a_folder/cpu.pbtxt").unlink()
    (clone.folder / "triton-config/config_a_folder/cpu.pbtxt").mkdir()
    (clone.folder / "triton-config/config_a_folder/cpu.pbtxt/keep").touch()


@pytest.fixture
def clone(site):
    """The clone with ten more models, all good; afterwards without them."""
    declared = dict(site.clone.models)
    for number in range(10):
        site.clone.model(f"good{number}", scale=number)
    yield site.clone
    site.clone.models = declared
    site.clone.write_catalog()
    site.clone.commit("without them")


@pytest.mark.parametrize(
    "bad", [(no_model_py, model_py_a_folder), (labels_a_folder, config_a_folder)], ids=["models", "configs"]
)
def test_bad_models_among_ten_good_ones_are_refused_by_name(site, clone, bad):
    for make in bad:
        make(clone)
    clone.write_catalog()
    clone.commit("ten good models and bad ones")
    before = site.answers()
    with site.inferring("alpha") as observed, pytest.raises(DeployError) as caught:
        site.deploy()
    for make in bad:
        assert f"  {make.__name__}: " in str(caught.value), caught.value
    assert "good" not in str(caught.value)
    assert site.answers() == before
    assert not observed.failures
