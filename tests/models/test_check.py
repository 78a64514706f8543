import shutil

import onnx
import pytest

from tests.onnx_models import affine, identity, write_model
from tests.paths import PROJECT
from tritonops.errors import PartialFailureError, TritonOpsError, UnknownModelError
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.check import check, require_servable
from tritonops.models.checked import Checked
from tritonops.models.config import copy_configs
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.disk.repository import Repository
from tritonops.models.rules.finding import Finding, Severity, raise_on_errors
from tritonops.models.rules.judged_server import server_of_image
from tritonops.project import Project
from tritonops.triton_image import OnnxRuntime, parse_image

ENTRY = '[[models.clip]]\npath = "clip.onnx"\ntriton_version = 1\n'


@pytest.fixture
def project(tmp_path):
    """One good model, in models.toml, on disk, and with both configs."""
    (tmp_path / "models.toml").write_text(ENTRY)
    (tmp_path / "models.lock").write_text("")
    config = (write_model(tmp_path / "triton", "clip") / "config.pbtxt").read_text()
    (tmp_path / "triton-config" / "clip").mkdir(parents=True)
    for variant in ("cpu", "gpu"):
        (tmp_path / "triton-config" / "clip" / f"{variant}.pbtxt").write_text(config)
    return tmp_path


def run(folder, *, image="26.07", gpus=None, server=None, include=(), **options):
    checked = Checked(
        load_catalog(folder / "models.toml"),
        Repository(folder / "triton"),
        folder / "triton-config",
        folder / "models.lock",
        server or server_of_image(parse_image(image), gpus=gpus),
        **options,
    )
    return [finding for finding in check(checked, include=include) if finding.code != "not-locked"]


def codes(*args, **options):
    return [(finding.model, finding.severity, finding.code) for finding in run(*args, **options)]


def test_a_good_model_has_no_findings(project):
    assert run(project) == []


def test_of_the_eleven_open_food_facts_models_it_names_what_each_one_lacks(tmp_path):
    checked = Checked(
        load_catalog(PROJECT / "models.toml"),
        Repository(tmp_path / "triton"),
        PROJECT / "triton-config",
        tmp_path / "models.lock",
        server_of_image(parse_image("nvcr.io/nvidia/tritonserver:26.07-py3")),
    )
    findings = check(checked)
    errors = {(finding.model, finding.code) for finding in findings if finding.severity == "error"}
    assert errors == {
        ("price_tag_classification", "no-config"),
        ("category-classifier-keras-image-embeddings-3.0", "unknown-backend"),
    }
    warnings = [finding.code for finding in findings if finding.severity == "warning"]
    assert sorted(warnings) == ["not-downloaded"] * 11 + ["not-locked"]


def test_the_same_mistake_in_several_configs_is_said_once_with_all_files(project):
    for path in (*project.glob("triton-config/clip/*.pbtxt"), project / "triton" / "clip" / "config.pbtxt"):
        path.write_text(path.read_text().replace('name: "x"', 'name: "images"') + f"# {path.name}\n")
    unknown = next(finding for finding in run(project) if finding.code == "tensor-unknown")
    assert sorted(path.name for path in unknown.files) == ["config.pbtxt", "cpu.pbtxt", "gpu.pbtxt"]
    assert "'images'" in unknown.what


def test_only_the_chosen_configs_are_checked(project):
    (project / "triton-config" / "clip" / "gpu.pbtxt").write_text("oops")
    assert codes(project, variants=("cpu",)) == []
    assert codes(project, variants=("gpu",)) == [("clip", "error", "config-syntax")]


def test_a_syntax_error_is_named_with_file_line_and_column(project):
    (project / "triton" / "clip" / "config.pbtxt").write_text("max_batch_size: 1\n  oops: 1\n")
    (finding,) = run(project)
    assert f"{project}/triton/clip/config.pbtxt:2:3: " in finding.what


def test_a_missing_config_is_an_error_and_one_of_two_a_warning(project):
    (project / "triton-config" / "clip" / "gpu.pbtxt").unlink()
    assert codes(project) == [("clip", "warning", "no-config")]
    (project / "triton-config" / "clip" / "cpu.pbtxt").unlink()
    assert codes(project) == [("clip", "warning", "no-config")]
    (project / "triton" / "clip" / "config.pbtxt").unlink()
    assert codes(project) == [("clip", "error", "no-config")]


@pytest.mark.parametrize(
    ("completes", "expected"),
    [(True, {("by-hand", "warning", "no-config"), ("by-hand", "warning", "batch-guessed")}), (False, None)],
)
def test_a_model_that_was_put_there_by_hand_needs_no_config_where_the_server_completes_it(project, completes, expected):
    (write_model(project / "triton", "by-hand") / "config.pbtxt").unlink()
    server = server_of_image(parse_image("26.07"), completes_configs=completes)
    found = set(codes(project, server=server))
    assert found == (expected or {("by-hand", "error", "no-config")})


def test_a_step_whose_config_does_not_parse_is_not_called_unknown(project):
    step = 'model_name: "clip" model_version: -1 input_map { key: "x" value: "a" } output_map { key: "y" value: "b" }'
    tensors = " ".join(
        f'{kind} {{ name: "{name}" data_type: TYPE_FP32 dims: 3 }}' for kind, name in (("input", "a"), ("output", "b"))
    )
    (project / "triton/ens/1").mkdir(parents=True)
    config = f'platform: "ensemble" max_batch_size: 8 {tensors} ensemble_scheduling {{ step {{ {step} }} }}'
    (project / "triton/ens/config.pbtxt").write_text(config)
    assert codes(project) == []
    for path in (*project.glob("triton-config/clip/*.pbtxt"), project / "triton/clip/config.pbtxt"):
        path.write_text("oops")
    assert {model for model, _, _ in codes(project)} == {"clip"}


def test_a_config_whose_model_is_nowhere_is_a_warning(project):
    (project / "triton-config" / "gone").mkdir()
    assert codes(project) == [("gone", "warning", "config-without-model")]


def test_a_model_in_two_places_is_an_error(project):
    write_model(project / "triton-disabled", "clip")
    assert ("clip", "error", "two-places") in codes(project)


def test_a_lock_that_lacks_a_version_is_a_warning(project):
    checked = Checked(
        load_catalog(project / "models.toml"),
        Repository(project / "triton"),
        project / "triton-config",
        project / "models.lock",
        server_of_image(parse_image("26.07")),
    )
    for include in ((), ("clip",)):
        (finding,) = check(checked, include=include)
        assert (finding.code, finding.severity, finding.what) == ("not-locked", "warning", "clip/1 is not locked")
    checked.lock_path.unlink()
    (finding,) = check(checked, include=["clip"])
    assert (finding.model, finding.code) == ("models.lock", "not-locked")


def test_a_chosen_model_has_no_findings_of_others_but_those_that_concern_it(project):
    (project / "models.toml").write_text(f'{ENTRY}\n[[models.other]]\npath = "other.onnx"\ntriton_version = 1\n')
    (project / "triton-config" / "gone").mkdir()
    assert codes(project, include=["clip"]) == []
    (project / "triton/broken").symlink_to("/nonexistent/model")
    assert codes(project, include=["clip"]) == [("broken", "error", "dangling-link")]


def test_a_graph_is_judged_by_the_runtime_of_the_image(project):
    made = affine()
    made.ir_version = 12
    (project / "triton" / "clip" / "1" / "model.onnx").write_bytes(made.SerializeToString())
    assert codes(project, image="25.02-py3") == [("clip", "error", "ir-too-new")]
    assert codes(project, image="registry.example/triton:25.02") == []
    assert codes(project, image="26.07-py3") == []


def test_gpus_are_compared_with_those_of_the_machine(project):
    config = project / "triton" / "clip" / "config.pbtxt"
    config.write_text(config.read_text().replace("kind: KIND_CPU", "kind: KIND_GPU gpus: [ 0, 1 ]"))
    assert codes(project) == []
    assert codes(project, gpus=2) == []
    (finding,) = run(project, gpus=1)
    assert (finding.code, "wants GPU 1;" in finding.what) == ("no-such-gpu", True)


def test_a_warmup_beyond_the_batch_is_an_error(project):
    """Triton refuses it, or ends altogether: too unsteady a verdict for the corpus."""
    config = project / "triton" / "clip" / "config.pbtxt"
    value = "{ data_type: TYPE_FP32 dims: [ 3 ] zero_data: true }"
    sample = f'model_warmup [ {{ name: "w" batch_size: 9 inputs {{ key: "x" value: {value} }} }} ]\n'
    config.write_text(config.read_text() + sample)
    assert codes(project) == [("clip", "error", "warmup-batch")]


def test_several_declared_versions_are_checked_as_they_would_be_served(project):
    (project / "models.toml").write_text(ENTRY + ENTRY.replace("= 1", "= 2"))
    made = affine(width=4)
    write_model(project / "other", "clip", {2: made})
    (project / "other" / "clip" / "2").rename(project / "triton" / "clip" / "2")
    copy_configs(Project.load(project, environ={}), variant="cpu", overwrite=True)
    assert parse_config((project / "triton" / "clip" / "config.pbtxt").read_text()).HasField("version_policy")
    assert {code for _, _, code in codes(project)} == {"tensor-shape"}


def test_an_unknown_name_is_an_error_with_the_near_misses(project):
    with pytest.raises(UnknownModelError) as caught:
        run(project, include=["clop"])
    assert caught.value.hint == "Did you mean 'clip'?"


def test_errors_fail_and_warnings_pass(project):
    (project / "triton-config" / "gone").mkdir()
    raise_on_errors(run(project))
    (project / "triton" / "clip" / "config.pbtxt").write_text("oops")
    with pytest.raises(TritonOpsError, match="1 error, 1 warning"):
        raise_on_errors(run(project))


@pytest.mark.parametrize(
    ("name", "release"),
    [
        ("nvcr.io/nvidia/tritonserver:25.02-py3", (25, 2)),
        ("nvcr.io/nvidia/tritonserver:26.07-py3-min", (26, 7)),
        ("mirror.example:5000/nvidia/tritonserver:25.09-py3", (25, 9)),
        ("25.02", (25, 2)),
        ("tritonops-cpu", None),
        ("mine:25.02", None),
        ("nvcr.io/nvidia/tritonserver", None),
    ],
)
def test_an_image_is_known_by_its_tag(name, release):
    assert parse_image(name).release == release


def test_between_known_releases_the_older_one_counts():
    assert parse_image("25.08").onnxruntime == OnnxRuntime("1.22.0", 10, 22)
    assert parse_image("24.01").onnxruntime is None
    assert "tensorflow" in (parse_image("25.02").backends or ())
    assert "tensorflow" not in (parse_image("25.03").backends or ())


ENSEMBLE = """\
platform: "ensemble"
max_batch_size: 8
input [ { name: "i" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [ { name: "o" data_type: TYPE_FP32 dims: [ 3 ] } ]
ensemble_scheduling { step [
  { model_name: "clip" model_version: VERSION input_map { key: "x" value: "i" } output_map { key: "y" value: "o" } }
] }
"""


def ensemble(folder, version=-1, name="ens"):
    (folder / name / "1").mkdir(parents=True)
    (folder / name / "config.pbtxt").write_text(ENSEMBLE.replace("VERSION", str(version)))


def test_a_disabled_step_is_an_error_of_an_enabled_ensemble_alone(project):
    ensemble(project / "triton")
    assert codes(project) == []
    (project / "triton-disabled").mkdir()
    (project / "triton/clip").rename(project / "triton-disabled/clip")
    (finding,) = run(project)
    assert (finding.model, finding.severity, finding.code) == ("ens", "error", "ensemble-step-disabled")
    assert finding.fix == "`inv models.enable clip`, or `inv models.disable ens`"
    (project / "triton/ens").rename(project / "triton-disabled/ens")
    assert codes(project) == []


def test_a_step_of_a_model_that_is_not_on_disk_yet_may_name_any_version_but_0(project):
    ensemble(project / "triton", 1)
    ensemble(project / "triton", 0, name="unset")
    (project / "triton/clip").rename(project / "clip")
    found = codes(project)
    assert ("unset", "error", "ensemble-step-version") in found
    assert [model for model, _, code in found if code == "ensemble-step-version"] == ["unset"]


CLIP = "triton/clip"
HAZARDS = {
    "config.pbtxt": (lambda home: remade(home / "config.pbtxt"), "triton-crashes"),
    "labels": (lambda home: labelled(home), "triton-crashes"),
    "a version of 20 digits": (lambda home: (home / ("9" * 20)).mkdir(), "triton-crashes"),
    "a version of 19 digits": (lambda home: (home / ("9" * 19)).mkdir(), "triton-crashes"),
    "a warm-up text without its length": (lambda home: warmed_up(home, b"hello world"), "triton-crashes"),
    "no model.py": (lambda home: python(home), "load-hangs"),
    "model.py a folder": (lambda home: (python(home) / "model.py").mkdir(), "load-hangs"),
    "model.py a dangling link": (lambda home: (python(home) / "model.py").symlink_to("/nonexistent"), "load-hangs"),
}


def remade(path):
    path.unlink()
    path.mkdir()


def labelled(home):
    text = (home / "config.pbtxt").read_text()
    (home / "config.pbtxt").write_text(text.replace('name: "y"', 'name: "y" label_filename: "labels.txt"'))
    (home / "labels.txt").mkdir()


def warmed_up(home, data):
    (home / "config.pbtxt").write_text(
        'backend: "onnxruntime"\nmax_batch_size: 8\ninput [ { name: "x" data_type: TYPE_STRING dims: [ 3 ] } ]\n'
        'output [ { name: "y" data_type: TYPE_STRING dims: [ 3 ] } ]\ninstance_group [ { kind: KIND_CPU } ]\n'
        'model_warmup [ { name: "w" batch_size: 1 inputs { key: "x" value: '
        '{ data_type: TYPE_STRING dims: [ 3 ] input_data_file: "text" } } } ]\n'
    )
    (home / "warmup").mkdir()
    (home / "warmup/text").write_bytes(data)
    onnx.save(identity(onnx.TensorProto.STRING), home / "1/model.onnx")


def python(home):
    (home / "config.pbtxt").write_text(
        'backend: "python"\ninput [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]\n'
        'output [ { name: "y" data_type: TYPE_FP32 dims: [ 3 ] } ]\ninstance_group [ { kind: KIND_CPU } ]\n'
    )
    (home / "1/model.onnx").unlink()
    return home / "1"


@pytest.mark.parametrize("name", HAZARDS)
def test_what_hangs_a_load_or_crashes_triton_is_worded_as_that(project, name):
    make, code = HAZARDS[name]
    make(project / CLIP)
    (project / "models.toml").write_text("")
    shutil.rmtree(project / "triton-config")
    (error,) = [finding for finding in run(project) if finding.severity == "error"]
    assert (error.code, error.files) == (code, (project / CLIP,))
    assert ("crashes" if code == "triton-crashes" else "the load never ends") in error.why


def test_a_dangling_link_beside_models_is_an_error_because_triton_lists_nothing(project):
    (project / "triton/gone").symlink_to("/nonexistent/model")
    (finding,) = run(project)
    assert (finding.model, finding.severity, finding.code) == ("gone", "error", "dangling-link")
    assert finding.what == f"{project / 'triton/gone'} is a link to /nonexistent/model, which does not exist"
    assert "Triton lists no model" in finding.why


def test_a_call_of_a_model_that_is_nowhere_is_an_error(project):
    (project / "models.toml").write_text(f'{ENTRY}depends_on = ["clipp", "clip"]\n')
    assert codes(project) == [("clip", "error", "depends-on-unknown")] * 2
    assert "'clipp', which is no other model" in run(project)[0].what


@pytest.mark.parametrize("name", ["lost+found", ".git", ".ipynb_checkpoints", "__pycache__", "@eaDir"])
def test_junk_beside_models_is_no_model(project, name):
    (project / "triton" / name / "1").mkdir(parents=True)
    assert run(project) == []
    assert Repository(project / "triton").names() == ("clip",)


PROBLEMS: tuple[tuple[Severity, str], ...] = (("error", "one"), ("warning", "two"), ("error", "three"))


def test_the_errors_of_the_checks_are_one_failure_for_each_model():
    findings = [Finding("alpha", "code", severity, (), what, "", "edit it") for severity, what in PROBLEMS]
    with pytest.raises(PartialFailureError, match=r"alpha: one \(fix: edit it\); three \(fix: edit it\)"):
        require_servable(findings)
    require_servable(findings[1:2])
