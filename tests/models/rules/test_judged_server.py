"""The server that configs are judged for."""

from importlib.metadata import version

from tritonops.models.rules.judged_server import count_gpus, embedded_server, server_of_image
from tritonops.triton_image import parse_image, runtime_of


def test_an_image_brings_its_backends_and_runtime_and_completes_configs():
    server = server_of_image(parse_image("26.07"), gpus=2)
    assert (server.release, server.gpus, server.completes_configs) == ((26, 7), 2, True)
    assert server.onnxruntime is not None
    assert server.onnxruntime.version == "1.27.0"


def test_the_embedded_server_has_the_installed_runtime_no_gpu_and_completes_nothing():
    server = embedded_server()
    assert (server.gpus, server.completes_configs) == (0, False)
    assert server.onnxruntime == runtime_of(version("onnxruntime")) is not None


def test_a_patch_release_of_a_runtime_loads_what_its_minor_release_does():
    assert runtime_of("1.22.9") == runtime_of("1.22.0")
    assert runtime_of("1.2.0") is None


def test_gpus_are_counted_where_the_driver_says(tmp_path):
    assert count_gpus(tmp_path / "absent") is None
    (tmp_path / "0000:01:00.0").mkdir()
    assert count_gpus(tmp_path) == 1
