"""What the tag of a Triton image tells of its backends and its ONNX Runtime."""

import pytest

from tritonops.triton_image import DEFAULT_IMAGE, image_with, known_backends, parse_image


@pytest.mark.parametrize(
    ("name", "release"),
    [
        (DEFAULT_IMAGE, (26, 7)),
        ("mirror.example:5000/nvidia/tritonserver:25.02-py3", (25, 2)),
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


@pytest.mark.parametrize(
    ("tag", "backends"),
    [
        ("26.07-vllm-python-py3", {"python", "vllm"}),
        ("26.07-trtllm-python-py3", {"python", "tensorrtllm"}),
        ("26.07-pyt-python-py3", {"python", "pytorch"}),
        ("25.02-tf2-python-py3", {"python", "tensorflow"}),
        ("26.07-py3-min", set()),
        ("26.07-py3-sdk", set()),
        ("26.07-py3-igpu", None),
        ("26.07-py3-mystery", None),
    ],
)
def test_each_kind_of_image_has_backends_of_its_own(tag, backends):
    image = parse_image(tag)
    assert image.backends == backends
    assert (image.release is not None, image.onnxruntime) == (True, None)


def test_images_without_a_server_say_what_they_have():
    assert parse_image("26.07").contents is None
    assert "clients" in (parse_image("26.07-py3-sdk").contents or "")
    assert parse_image("26.07-py3-min").contents == parse_image("26.07-py3-igpu-min").contents is not None


def test_repository_agents_are_known_of_the_full_image_alone():
    assert parse_image("26.07").agents == frozenset({"checksum"})
    assert parse_image("26.07-vllm-python-py3").agents is None


def test_the_image_with_a_backend_is_of_the_same_release_or_the_last_that_had_it():
    assert image_with("onnxruntime", (25, 9)) == "nvcr.io/nvidia/tritonserver:25.09-py3"
    assert image_with("vllm", None) == DEFAULT_IMAGE.replace("py3", "vllm-python-py3")
    assert image_with("tensorflow", (26, 7)) == "nvcr.io/nvidia/tritonserver:25.02-py3"
    assert image_with("tensorflow", (24, 9)) == "nvcr.io/nvidia/tritonserver:24.09-py3"
    assert image_with("vllm", (23, 5)) == "nvcr.io/nvidia/tritonserver:23.10-vllm-python-py3"
    assert image_with("mystery", (26, 7)) is None
    assert {"vllm", "tensorrtllm", "square"} <= known_backends()
