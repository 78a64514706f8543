"""What makes a load hang, or the server crash, found on disk."""

import os

import pytest

from tests.models.corpus_cases import BASE_CONFIG
from tests.models.rules.subjects import model_folder
from tritonops.models.rules.hazards import CRASHES, HANGS, ensembles_with, hazard, hazards, load_hazard, steps_on_disk


@pytest.fixture
def home(tmp_path):
    home = model_folder(tmp_path)
    (home / "config.pbtxt").write_text(BASE_CONFIG)
    return home


def break_config(home):
    (home / "config.pbtxt").unlink()
    (home / "config.pbtxt").mkdir()


def break_version(home):
    (home / "12345678901234567890").mkdir()


def break_python(home):
    text = BASE_CONFIG.replace('"onnxruntime"', '"python"')
    (home / "config.pbtxt").write_text(text)


def break_batch_output(home):
    scatter = 'batch_output [ { kind: BATCH_SCATTER_WITH_INPUT_SHAPE source_input: "x" } ]'
    (home / "config.pbtxt").write_text(BASE_CONFIG + scatter)


def break_agents(home):
    (home / "config.pbtxt").write_text(BASE_CONFIG + "model_repository_agents { }")


def break_warmup(home):
    """A file without a name is the folder of all of them."""
    (home / "warmup").mkdir()
    data = 'inputs { key: "x" value: { data_type: TYPE_FP32 dims: [ 3 ] input_data_file: "" } }'
    (home / "config.pbtxt").write_text(f'{BASE_CONFIG}model_warmup [ {{ name: "w" batch_size: 1 {data} }} ]')


def break_by_pipe(home):
    (home / "config.pbtxt").unlink()
    os.mkfifo(home / "config.pbtxt")


@pytest.mark.parametrize(
    ("break_it", "consequence"),
    [
        (break_config, CRASHES),
        (break_version, CRASHES),
        (break_batch_output, CRASHES),
        (break_agents, CRASHES),
        (break_warmup, CRASHES),
        (break_python, HANGS),
        (break_by_pipe, HANGS),
    ],
)
def test_what_hangs_or_crashes_is_found_with_its_consequence(home, break_it, consequence):
    assert hazard(home) is None
    break_it(home)
    assert [found.consequence for found in hazards(home)] == [consequence]
    assert consequence in str(hazard(home))


def test_a_warmup_without_a_batch_size_reads_no_file(home):
    break_warmup(home)
    config = home / "config.pbtxt"
    config.write_text(config.read_text().replace("batch_size: 1", ""))
    assert hazard(home) is None


def test_a_python_file_is_looked_for_below_its_version_whatever_its_name_begins_with(home):
    break_python(home)
    (home / "1" / "code.py").write_text("class TritonPythonModel: ...")
    with (home / "config.pbtxt").open("a") as config:
        config.write('default_model_filename: "/code.py"')
    assert hazard(home) is None


def test_a_platform_names_the_file_that_a_python_model_is_read_from(home):
    break_python(home)
    (home / "1" / "model.py").write_text("class TritonPythonModel: ...")
    assert hazard(home) is None
    with (home / "config.pbtxt").open("a") as config:
        config.write('platform: "tensorflow_savedmodel"')
    assert "model.savedmodel is missing" in str(hazard(home))


def test_an_ensemble_of_a_hazardous_step_is_one_too(home):
    ensemble = home.with_name("ens")
    (ensemble / "1").mkdir(parents=True)
    (ensemble / "config.pbtxt").write_text(
        'platform: "ensemble"\nensemble_scheduling { step [ { model_name: "clip" } ] }'
    )
    assert steps_on_disk(ensemble) == ("clip",)
    assert ensembles_with(home.parent, "clip") == ("ens",)
    assert load_hazard(home.parent, "ens") is None
    break_python(home)
    assert HANGS in str(load_hazard(home.parent, "ens"))
