"""Whether a server has the backend of a model, and what would."""

import pytest

from tests.models.rules.subjects import codes, model_folder, subject
from tritonops.models.rules.core.backend import backend_problems
from tritonops.models.rules.judged_server import embedded_server

IMAGE = "TRITON_IMAGE=nvcr.io/nvidia/tritonserver:"


@pytest.mark.parametrize(
    ("backend", "image", "fix"),
    [
        ("vllm", "26.07-py3", f"serve it with {IMAGE}26.07-vllm-python-py3"),
        ("tensorrtllm", "25.02-py3", f"serve it with {IMAGE}25.02-trtllm-python-py3"),
        ("onnxruntime", "26.07-py3-min", f"serve it with {IMAGE}26.07-py3"),
        ("onnxruntime", "26.07-vllm-python-py3", f"serve it with {IMAGE}26.07-py3"),
        ("tensorflow", "26.07", f"serve it with {IMAGE}25.02-py3, or export the model to ONNX"),
        ("tensorlow", "26.07", "Did you mean 'tensorflow'"),
        ("onnxruntim", "26.07-vllm-python-py3", "Did you mean 'onnxruntime'?"),
    ],
)
def test_a_missing_backend_is_looked_for_in_the_other_images(backend, image, fix):
    (problem,) = backend_problems(subject(('"onnxruntime"', f'"{backend}"'), image=image))
    assert (problem.code, problem.fix.startswith(fix)) == ("unknown-backend", True), problem.fix


@pytest.mark.parametrize(("tag", "contents"), [("py3-sdk", "clients alone"), ("py3-min", "what images are built from")])
def test_an_image_without_a_server_is_called_so(tag, contents):
    (problem,) = backend_problems(subject(image=f"26.07-{tag}"))
    assert contents in problem.what


def test_the_embedded_server_hints_at_docker():
    (problem,) = backend_problems(subject(('"onnxruntime"', '"tensorrt"'), server=embedded_server()))
    assert "`inv compose.up`" in problem.fix


@pytest.mark.parametrize("image", ["own:1", "26.07-py3-igpu"])
def test_of_an_unknown_image_no_backend_is_missed(image):
    found = subject(('"onnxruntime"', '"mystery"'), append='runtime: "libx.so"', image=image)
    assert codes(backend_problems(found)) == []


def test_a_library_in_the_folder_of_the_model_will_do(tmp_path):
    home = model_folder(tmp_path)
    found = subject(('"onnxruntime"', '"mine"'), home=home)
    assert codes(backend_problems(found)) == ["unknown-backend"]
    (home / "1/libtriton_mine.so").touch()
    assert codes(backend_problems(found)) == []
    (home / "1/libtriton_mine.so").rename(home / "libtriton_mine.so")
    assert codes(backend_problems(found)) == []


@pytest.mark.parametrize(
    ("runtime", "is_refused"),
    [("libmine.so", False), ("sub/../libmine.so", False), ("/libmine.so", False), ("libm.so", True), ("../a.so", True)],
)
def test_a_runtime_is_looked_for_in_the_folder_and_must_not_lead_out_of_it(tmp_path, runtime, is_refused):
    home = model_folder(tmp_path)
    (home / "sub").mkdir()
    (home / "libmine.so").touch()
    found = subject(append=f'runtime: "{runtime}"', home=home)
    assert codes(backend_problems(found)) == ["runtime-missing"] * is_refused


@pytest.mark.parametrize(
    ("backend", "runtime", "is_refused"),
    [
        ("onnxruntime", "libtriton_onnxruntime.so", False),
        ("onnxruntime", "model.py", True),
        ("pytorch", "model.py", False),
        ("python", "libtriton_python.so", False),
    ],
)
def test_the_backend_s_own_library_may_be_named(backend, runtime, is_refused):
    found = subject(('"onnxruntime"', f'"{backend}"'), append=f'runtime: "{runtime}"')
    assert codes(backend_problems(found)) == ["runtime-missing"] * is_refused


def test_a_platform_of_a_later_release_is_unknown_to_an_earlier_one():
    edit = ('"onnxruntime"', '"pytorch" platform: "torch_aoti"')
    assert codes(backend_problems(subject(edit, image="24.10"))) == ["no-backend"]
    assert codes(backend_problems(subject(edit))) == []
    assert codes(backend_problems(subject(append='platform: "tensorrt_plan"'))) == ["platform-differs"]
