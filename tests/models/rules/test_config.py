"""A config by itself."""

import pytest

from tests.models.rules.subjects import codes, model_folder, subject
from tritonops.models.rules.config import config_problems, effective_backend, served_versions
from tritonops.models.rules.judged_server import embedded_server


@pytest.mark.parametrize(
    ("edits", "append", "expected"),
    [
        ((), "", []),
        ((("max_batch_size: 8", "max_batch_size: -1"),), "", ["negative-batch"]),
        ((('"onnxruntime"', '"onnxruntim"'),), "", ["unknown-backend"]),
        ((), 'name: "other"', ["name-differs"]),
        ((), 'platform: "tensorflow_savedmodel"', ["platform-differs"]),
    ],
)
def test_what_a_config_says_of_itself_is_judged(edits, append, expected):
    assert codes(config_problems(subject(*edits, append=append))) == expected


@pytest.mark.parametrize(
    ("edit", "file", "backend"),
    [
        (('backend: "onnxruntime"', 'backend: "python"'), "model.onnx", "python"),
        (('backend: "onnxruntime"', 'platform: "onnxruntime_onnx"'), "model.onnx", "onnxruntime"),
        (('backend: "onnxruntime"', ""), "model.onnx", "onnxruntime"),
        (('backend: "onnxruntime"', ""), "weights.bin", None),
    ],
)
def test_the_backend_follows_from_the_config_or_from_the_file(tmp_path, edit, file, backend):
    home = model_folder(tmp_path)
    (home / "1/model.onnx").rename(home / "1" / file)
    assert effective_backend(subject(edit, home=home)) == backend


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", (3,)),
        ("version_policy { all {} }", (1, 2, 3)),
        ("version_policy { latest { num_versions: 2 } }", (2, 3)),
        ("version_policy { specific { versions: [ 1, 9 ] } }", (1,)),
    ],
)
def test_the_version_policy_chooses_of_the_versions_on_disk(tmp_path, policy, served):
    assert served_versions(subject(append=policy, home=tmp_path, versions=(1, 2, 3))) == served


def test_gpus_that_the_machine_does_not_have_are_named():
    group = ("count: 1 kind: KIND_CPU", "count: 1 kind: KIND_GPU gpus: [ 0, 3 ]")
    found = [*config_problems(subject(group, gpus=2))]
    assert [("3" in problem.what, "2 GPUs" in problem.what) for problem in found] == [(True, True)]
    assert codes(config_problems(subject(group, gpus=4))) == []


def test_a_batching_library_may_be_in_an_image_and_a_relative_one_anywhere():
    def found(path, **options):
        strategy = f'parameters {{ key: "TRITON_BATCH_STRATEGY_PATH" value {{ string_value: "{path}" }} }}'
        return [(each.code, each.severity) for each in config_problems(subject(append=strategy, **options))]

    assert found("/nowhere/libbatching.so") == [("batch-strategy", "warning")]
    assert found("/nowhere/libbatching.so", server=embedded_server()) == [("batch-strategy", "error")]
    assert found("models/clip/libbatching.so") == []
    assert found("/etc/passwd") == []
