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


def break_by_pipe(home):
    (home / "config.pbtxt").unlink()
    os.mkfifo(home / "config.pbtxt")


@pytest.mark.parametrize(
    ("break_it", "consequence"),
    [
        (break_config, CRASHES),
        (break_version, CRASHES),
        (break_batch_output, CRASHES),
        (break_python, HANGS),
        (break_by_pipe, HANGS),
    ],
)
def test_what_hangs_or_crashes_is_found_with_its_consequence(home, break_it, consequence):
    assert hazard(home) is None
    break_it(home)
    assert [found.consequence for found in hazards(home)] == [consequence]
    assert consequence in str(hazard(home))


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
