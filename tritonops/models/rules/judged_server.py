"""The server that configs are judged for: its release, backends, ONNX Runtime, flags and GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tritonops.triton_image import Image, OnnxRuntime, Release, runtime_of

EMBEDDED_RELEASE: Release = (24, 10)
"""The release whose core nvidia-pytriton 0.7.0 carries: Triton 2.51."""


@dataclass(frozen=True)
class JudgedServer:
    """What a verdict depends on besides the model; None stands for what nobody knows."""

    name: str
    """As messages call it: an image, or "the embedded Triton"."""
    release: Release | None = None
    backends: frozenset[str] | None = None
    onnxruntime: OnnxRuntime | None = None
    completes_configs: bool = True
    """Whether it completes configs from the model, as Triton does without --disable-auto-complete-config."""
    gpus: int | None = None
    is_embedded: bool = False


def server_of_image(image: Image, *, gpus: int | None = None, completes_configs: bool = True) -> JudgedServer:
    """Judge for an image; only the tag of an NVIDIA release tells its contents."""
    return JudgedServer(
        image.name, image.release, image.backends, image.onnxruntime, completes_configs=completes_configs, gpus=gpus
    )


def embedded_server() -> JudgedServer:
    """Judge for the embedded Triton, with the ONNX Runtime that is installed here. It has no GPU."""
    return JudgedServer(
        "the embedded Triton",
        EMBEDDED_RELEASE,
        frozenset({"onnxruntime", "python"}),
        _installed_runtime(),
        completes_configs=False,
        gpus=0,
        is_embedded=True,
    )


def _installed_runtime() -> OnnxRuntime | None:
    try:
        return runtime_of(version("onnxruntime"))
    except PackageNotFoundError:
        return None


def count_gpus(driver: Path = Path("/proc/driver/nvidia/gpus")) -> int | None:
    """Count the GPUs of this machine; None where NVIDIA's driver does not say."""
    return len(list(driver.iterdir())) if driver.is_dir() else None
