"""What Triton fills in where a config leaves it out."""

import pytest

from tests.models.rules.subjects import model_folder, subject
from tritonops.models.rules.core.effective import default_file, effective_backend, effective_platform

NO_BACKEND = ('backend: "onnxruntime"', "")


@pytest.mark.parametrize(
    ("edit", "file", "backend", "platform", "loaded"),
    [
        (('"onnxruntime"', '"onnxruntime"'), "model.onnx", "onnxruntime", "onnxruntime_onnx", "model.onnx"),
        ((NO_BACKEND[0], 'platform: "tensorrt_plan"'), "model.plan", "tensorrt", "tensorrt_plan", "model.plan"),
        (NO_BACKEND, "model.plan", "tensorrt", "tensorrt_plan", "model.plan"),
        (NO_BACKEND, "model.pt2", "pytorch", "pytorch_libtorch", "model.pt2"),
        (NO_BACKEND, "model.graphdef", "tensorflow", "tensorflow_graphdef", "model.graphdef"),
        (NO_BACKEND, "model.py", "python", "", "model.py"),
        ((NO_BACKEND[0], 'default_model_filename: "model.xml"'), "model.onnx", "openvino", "", "model.xml"),
        ((NO_BACKEND[0], 'platform: "mystery"'), "model.onnx", None, "mystery", None),
        ((NO_BACKEND[0], 'platform: "a" default_model_filename: "model.pt"'), "model.pt", "pytorch", "a", "model.pt"),
        (('"onnxruntime"', '"vllm"'), "model.json", "vllm", "", "model.json"),
        (('"onnxruntime"', '"pytorch" runtime: "model.py"'), "model.py", "pytorch", "pytorch_libtorch", None),
        (('"onnxruntime"', '"tensorflow"'), "weights.bin", "tensorflow", "", None),
    ],
)
def test_backend_platform_and_file_follow_from_config_and_files(tmp_path, edit, file, backend, platform, loaded):
    home = model_folder(tmp_path)
    (home / "1/model.onnx").rename(home / "1" / file)
    found = subject(edit, home=home)
    assert (effective_backend(found), effective_platform(found), default_file(found)) == (backend, platform, loaded)


def test_the_name_of_a_model_decides_last_and_gives_no_platform(tmp_path):
    home = model_folder(tmp_path, "clip.onnxruntime")
    found = subject(NO_BACKEND, home=home, name="clip.onnxruntime")
    assert (effective_backend(found), effective_platform(found)) == ("onnxruntime", "onnxruntime_onnx")
    (home / "1/model.onnx").rename(home / "1/weights.bin")
    assert (effective_backend(found), effective_platform(found)) == ("onnxruntime", "")
    assert default_file(found) == "model.onnxruntime"


def test_files_are_looked_for_in_the_first_folder_by_name(tmp_path):
    home = model_folder(tmp_path)
    (home / ".hidden").mkdir()
    assert effective_backend(subject(NO_BACKEND, home=home)) is None


def test_of_a_model_that_is_not_on_disk_its_name_says_nothing():
    assert effective_backend(subject(NO_BACKEND, name="clip.identity")) is None
