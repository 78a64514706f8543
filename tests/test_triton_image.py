"""What the tag of a Triton image tells of its backends and its ONNX Runtime."""

import pytest

from tritonops.triton_image import DEFAULT_IMAGE, parse_image


@pytest.mark.parametrize(
    ("name", "release"),
    [
        (DEFAULT_IMAGE, (26, 7)),
        ("nvcr.io/nvidia/tritonserver:25.02-py3-min", (25, 2)),
        ("25.09", (25, 9)),
        ("localhost/triton-cpu", None),
        ("registry.example/own:26.07-py3", None),
        ("nvcr.io/nvidia/tritonserver:latest", None),
    ],
)
def test_only_a_tag_of_a_release_of_nvidias_tells_anything(name, release):
    image = parse_image(name)
    assert image.release == release
    assert (image.backends is None) == (image.onnxruntime is None) == (release is None)


@pytest.mark.parametrize(("tag", "version"), [("25.02", "1.20.1"), ("25.08", "1.22.0"), ("26.07", "1.27.0")])
def test_the_onnx_runtime_is_that_of_the_last_known_release(tag, version):
    runtime = parse_image(tag).onnxruntime
    assert runtime is not None
    assert runtime.version == version


def test_a_release_before_the_first_known_one_has_an_unknown_runtime():
    assert parse_image("24.01").onnxruntime is None


def test_tensorflow_went_after_its_last_release():
    assert "tensorflow" in (parse_image("25.02").backends or ())
    assert "tensorflow" not in (parse_image("25.03").backends or ())
