import importlib.util
import json
import shutil

import onnx
import pytest

from tests.onnx_models import affine, external_weights, write_model
from tests.triton.projects import ENSEMBLE

CATALOG = """\
[[models.clip]]
path = "clip.onnx"
triton_version = 1
[[models.bare]]
path = "bare.onnx"
triton_version = 1
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project of two models, of which one is on disk and has a config."""
    (tmp_path / "models.toml").write_text(CATALOG)
    (tmp_path / "triton" / "clip" / "1").mkdir(parents=True)
    (tmp_path / "triton" / "clip" / "1" / "model.onnx").write_bytes(b"x" * 1500)
    (tmp_path / "configs" / "clip").mkdir(parents=True)
    for variant in ("cpu", "gpu"):
        (tmp_path / "configs" / "clip" / f"{variant}.pbtxt").write_text(f'name: "clip" # {variant}\n')
    monkeypatch.setenv("MODELS_TOML", str(tmp_path / "models.toml"))
    monkeypatch.setenv("TRITON_MODELS_DIR", str(tmp_path / "triton"))
    monkeypatch.setenv("TRITON_CONFIG_DIR", str(tmp_path / "configs"))
    return tmp_path


def test_list_shows_the_catalogue_against_the_disk(inv, project):
    code, out, err = inv("models.list")
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["NAME", "VERSION", "REVISION", "SOURCE", "SIZE", "INSTALLED", "ENABLED", "CONFIG"],
        ["clip", "1", "-", str(project / "clip.onnx"), "1.5", "kB", "yes", "yes", "-"],
        ["bare", "1", "-", str(project / "bare.onnx"), "-", "no", "-", "-"],
    ]


def test_list_is_one_json_document_for_scripts(inv, project):
    code, out, err = inv("models.list", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)[0] == {
        "name": "clip",
        "version": 1,
        "source": str(project / "clip.onnx"),
        "revision": None,
        "size": 1500,
        "installed": True,
        "enabled": True,
        "config": None,
    }


def test_config_does_what_it_can_and_names_the_model_without_a_source(inv, project):
    code, out, err = inv("models.config")
    assert (code, out) == (1, "clip: written\n")
    assert f"bare: there is no {project}/configs/bare/gpu.pbtxt" in err
    assert (project / "triton" / "clip" / "config.pbtxt").read_text() == 'name: "clip" # gpu\n'


def test_config_and_download_may_run_in_either_order(inv, project):
    (project / "bare.onnx").write_bytes(b"weights")
    (project / "configs" / "bare").mkdir()
    (project / "configs" / "bare" / "gpu.pbtxt").write_text("max_batch_size: 1\n")
    code, out, _ = inv("models.config", "--include", "bare")
    assert (code, out) == (0, "bare: written, waiting for the model to be downloaded\n")
    assert not (project / "triton" / "bare").exists()
    assert inv("models.download", "--include", "bare")[0] == 0
    assert (project / "triton" / "bare" / "config.pbtxt").read_text() == "max_batch_size: 1\n"
    assert inv("models.config", "--include", "bare") == (0, "bare: unchanged\n", "")


def test_config_shows_a_difference_and_replaces_it_only_with_overwrite(inv, project):
    assert inv("models.config", "--include", "clip")[0] == 0
    code, out, err = inv("models.config", "--cpu", "--include", "clip")
    assert code == 4
    assert out.splitlines()[-2:] == ['-name: "clip" # gpu', '+name: "clip" # cpu']
    assert "hint: --overwrite replaces it." in err
    assert inv("models.config", "--cpu", "--include", "clip", "--overwrite")[0] == 0
    assert inv("models.config", "--cpu", "--include", "clip") == (0, "clip: unchanged\n", "")


def test_disable_and_enable_move_a_model_and_a_second_time_is_wrong_input(inv, project):
    assert inv("models.disable", "clip")[:2] == (0, f"{project}/triton-disabled/clip\n")
    assert inv("models.disable", "--model", "clip")[0] == 2
    assert inv("models.enable", "clip")[:2] == (0, f"{project}/triton/clip\n")
    code, out, err = inv("models.enable", "clip")
    assert (code, out) == (2, "")
    assert err.startswith("error: clip is enabled already")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["models.enable", "clop"], "has no model 'clop'\nhint: Did you mean 'clip'?"),
        (["models.config", "--include", "clop"], "has no model 'clop'\nhint: Did you mean 'clip'?"),
        (["models.config", "--include", "clip,clop"], "has no model 'clop'"),
    ],
)
def test_an_unknown_model_is_wrong_input_with_the_near_misses(inv, project, arguments, message):
    code, out, err = inv(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not (project / "triton" / "clip" / "config.pbtxt").exists()


@pytest.mark.parametrize("task", ["models.list", "models.config"])
def test_a_wrong_catalogue_is_one_message_with_the_entry_and_its_line(inv, project, task):
    (project / "models.toml").write_text(CATALOG.replace("triton_version = 1\n[[", "triton_version = 0\n[["))
    code, out, err = inv(task)
    assert (code, out) == (2, "")
    assert err == (
        f"error: {project}/models.toml, line 1: models.clip[0]: triton_version: "
        "0 is not a version; expected an integer from 1\n"
    )


def test_check_names_each_finding_with_its_files_and_exits_1_on_errors(inv, project):
    code, out, err = inv("models.check", "--include", "bare", "--cpu")
    assert code == 1
    assert f"error: bare: there is no config [no-config]\n    in {project}/configs/bare/cpu.pbtxt\n" in out
    assert "\nerror: 1 error, 2 warnings" in err


def test_check_is_one_json_document_for_scripts(inv, project):
    code, out, _ = inv("models.check", "--include", "bare", "--json")
    assert code == 1
    assert {finding["code"] for finding in json.loads(out)} == {"no-config", "not-downloaded", "not-locked"}
    assert sorted(json.loads(out)[0]) == ["code", "files", "fix", "line", "model", "severity", "what", "why"]


@pytest.mark.parametrize(
    ("options", "judged"),
    [
        ((), "checked for nvcr.io/nvidia/tritonserver:26.07-py3, which completes configs; "),
        (("--image", "25.02"), "checked for 25.02, which completes configs; "),
        (("--embedded",), "checked for the embedded Triton, which does not complete configs; GPUs: 0"),
    ],
)
def test_check_says_for_which_server_it_judged(inv, project, options, judged):
    _, out, err = inv("models.check", "clip", *options)
    assert judged in err
    assert "checked for" not in out


def test_check_reads_the_options_of_the_server_from_the_compose_files(inv, project, monkeypatch):
    monkeypatch.setenv("COMPOSE_FILE", str(project / "mine.yml"))
    (project / "mine.yml").write_text("services:\n  triton:\n    command: [--disable-auto-complete-config]\n")
    assert "which does not complete configs; " in inv("models.check", "clip")[2]


def test_check_says_that_no_graph_was_tried_where_onnxruntime_is_missing(inv, project, monkeypatch):
    found = importlib.util.find_spec
    assert "no graph was tried" not in inv("models.check", "clip")[2]
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *more: None if name == "onnxruntime" else found(name, *more)
    )
    assert "onnxruntime is not installed: no graph was tried" in inv("models.check", "clip")[2]


def test_check_judges_for_one_server_at_a_time(inv, project):
    code, _, err = inv("models.check", "--embedded", "--image", "25.02")
    assert (code, "exclude each other" in err) == (2, True)


def test_check_loads_graphs_on_request_and_says_which_could_not_be(inv, project):
    shutil.rmtree(project / "triton" / "clip")
    home = write_model(project / "triton", "clip")
    shutil.copyfile(home / "config.pbtxt", project / "configs" / "clip" / "cpu.pbtxt")
    graph, config = home / "1" / "model.onnx", home / "config.pbtxt"
    assert inv("models.check", "clip", "--cpu", "--load")[0] == 0
    library = 'model_operations { op_library_filename: "/opt/absent.so" }'
    config.write_text(f"{config.read_text()}\n{library}\n")
    assert inv("models.check", "clip", "--cpu")[0] == 0
    code, out, _ = inv("models.check", "clip", "--cpu", "--load")
    assert code == 1
    assert f"{graph} was not loaded: its library of operators /opt/absent.so is not on this machine" in out


def test_a_model_is_added_checked_and_removed_with_what_it_left(inv, project):
    (project / "new.onnx").write_bytes(affine().SerializeToString())
    code, out, err = inv("models.add", "new", "--path", str(project / "new.onnx"), "--cpu", "--warmup")
    assert (code, out) == (0, "new/1\n")
    assert f"generated from the graph: {project}/configs/new/cpu.pbtxt" in err
    assert "zero_data: true" in (project / "triton" / "new" / "config.pbtxt").read_text()
    assert inv("models.check", "--include", "new")[0] == 0
    code, _, err = inv("models.generate-config", "new")
    assert code == 2
    assert "--overwrite replaces them" in err
    assert inv("models.generate-config", "new", "--max-batch-size", "32", "--overwrite")[0] == 0
    assert "max_batch_size: 32" in (project / "configs" / "new" / "gpu.pbtxt").read_text()
    code, _, err = inv("models.remove", "new", "--files")
    assert code == 2
    assert str(project / "triton" / "new") in err
    assert inv("models.remove", "new", "--files", "--yes")[:2] == (0, "removed: new/1\n")
    assert not (project / "triton" / "new").exists()
    assert (project / "models.toml").read_text().strip() == CATALOG.strip()


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["models.add", "new"], "repo_id: is missing"),
        (["models.add", "new", "--repo-id", "a/b"], "model_path: is missing"),
        (["models.add", "a/b", "--path", "x.onnx"], "is a path; expected a plain name"),
        (["models.add", "new", "--path", "x", "--version", "0"], "--version: expected a positive integer, got '0'"),
        (["models.add", "new", "--url", "https://x/y"], "sha256: is missing"),
        (["models.add", "new", "--path", "x", "--labels", "absent.txt"], "--labels absent.txt: no such file"),
        (["models.remove", "clop"], "Did you mean 'clip'?"),
        (["models.generate-config", "bare"], "bare is not on disk"),
        (["models.generate-config"], "expected names of models, or --missing"),
        (["models.generate-config", "clip", "--missing"], "expected names of models, or --missing, not both"),
        (
            ["models.generate-config", "clip", "--max-batch-size", "x"],
            "--max-batch-size: expected an integer of at least 0, got 'x'",
        ),
    ],
)
def test_wrong_input_is_one_message_and_changes_nothing(inv, project, arguments, output):
    before = (project / "models.toml").read_text()
    code, out, err = inv(*arguments)
    assert (code, out) == (2, "")
    assert output in err
    assert (project / "models.toml").read_text() == before


@pytest.mark.parametrize("arguments", [("models.disable", "step"), ("models.remove", "step", "--files")], ids=" ".join)
def test_a_model_that_another_one_calls_is_not_taken_away_unasked(project, inv, arguments):
    write_model(project / "triton", "step")
    write_model(project / "triton", "caller")
    onnx.save_model(affine(), project / "step.onnx")
    entry = 'path = "step.onnx"\ntriton_version = 1\n'
    with (project / "models.toml").open("a") as catalog:
        catalog.write(f'[[models.step]]\n{entry}[[models.caller]]\n{entry}depends_on = ["step"]\n')
    code, _, err = inv(*arguments)
    assert code == 2
    assert "step is called by caller, which would fail without it." in err
    assert (project / "triton/step").is_dir()
    assert inv(*arguments, "--yes")[0] == 0
    assert not (project / "triton/step").exists()


@pytest.mark.parametrize("arguments", [("models.disable", "step"), ("models.remove", "step", "--files")], ids=" ".join)
def test_a_step_of_an_ensemble_is_not_taken_away_unasked(project, inv, arguments):
    write_model(project / "triton", "step")
    onnx.save_model(affine(), project / "step.onnx")
    with (project / "models.toml").open("a") as catalog:
        catalog.write('[[models.step]]\npath = "step.onnx"\ntriton_version = 1\n')
    (project / "triton/whole/1").mkdir(parents=True)
    (project / "triton/whole/config.pbtxt").write_text(ENSEMBLE.replace("STEP", "step"))
    code, _, err = inv(*arguments)
    assert code == 2
    assert "step is a step of whole, not served without it." in err
    assert (project / "triton/step").is_dir()
    assert inv(*arguments, "--yes")[0] == 0
    assert not (project / "triton/step").exists()


@pytest.mark.parametrize("task", ["models.list", "models.download", "models.check", "models.config"])
def test_the_folder_of_one_model_is_not_taken_for_that_of_all(inv, project, monkeypatch, task):
    monkeypatch.setenv("TRITON_MODELS_DIR", str(project / "triton" / "clip"))
    code, out, err = inv(task)
    assert (code, out) == (2, "")
    assert "TRITON_MODELS_DIR is one level too deep" in err
    assert [path.name for path in (project / "triton" / "clip").iterdir()] == ["1"]


def test_what_is_no_model_is_not_added_and_what_has_no_config_is_said(inv, project):
    before = (project / "models.toml").read_text()
    (project / "model.py").write_text("class TritonPythonModel: ...\n")
    code, out, err = inv("models.add", "new", "--path", str(project / "model.py"), "--cpu")
    assert (code, out) == (1, "")
    assert "new/1 was not added: model.py would be installed as model.onnx and is not an ONNX file" in err
    assert "--local-name model.py" in err
    assert (project / "models.toml").read_text() == before
    code, out, err = inv("models.add", "new", "--path", str(project / "model.py"), "--local-name", "model.py", "--cpu")
    assert (code, out) == (1, "new/1\n")
    assert "new/1 was added, and Triton has no config of triton-config for it" in err
    assert "[[models.new]]" in (project / "models.toml").read_text()


def test_a_graph_whose_weights_lie_elsewhere_is_not_added(inv, project):
    external_weights([1.0, 2.0], project / "folder")
    code, _, err = inv("models.add", "new", "--path", str(project / "folder" / "model.onnx"), "--cpu")
    assert code == 1
    assert "its weights lie in model.onnx.data, which is not among what is fetched" in err
    assert inv("models.add", "new", "--path", str(project / "folder"), "--cpu")[0] == 0


def test_configs_are_generated_for_every_model_without_one(inv, project):
    onnx.save_model(affine(), project / "a.onnx")
    for name in ("one", "two"):
        inv("models.add", name, "--path", str(project / "a.onnx"), "--cpu")
        shutil.rmtree(project / "configs" / name)
    code, out, err = inv("models.generate-config", "--missing")
    generated = [f"{project}/configs/{name}/{variant}.pbtxt" for name in ("one", "two") for variant in ("gpu", "cpu")]
    assert sorted(out.split()) == sorted(generated)
    assert (code, "bare is not on disk" in err) == (1, True)


def test_a_config_for_a_model_that_models_toml_lacks_is_not_said_to_be_copied(inv, project):
    (project / "triton" / "own one" / "1").mkdir(parents=True)
    onnx.save_model(affine(), project / "triton" / "own one" / "1" / "model.onnx")
    _, out, _ = inv("models.check", "own one")
    assert "copy one of those that `inv models.generate-config 'own one'` writes" in out
    code, _, err = inv("models.generate-config", "own one")
    assert code == 0
    assert "inv models.config" not in err
    assert f"you copy their configs yourself, to {project}/triton/own one/config.pbtxt" in err
