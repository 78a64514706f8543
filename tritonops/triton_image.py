"""What a Triton image has: its backends, its repository agents and its ONNX Runtime."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_IMAGE = "nvcr.io/nvidia/tritonserver:26.07-py3"

Release = tuple[int, int]
"""Year and month, as in the image's tag: (26, 7)."""


@dataclass(frozen=True)
class OnnxRuntime:
    """A release of ONNX Runtime, with the newest IR version and opset that it loads."""

    version: str
    ir_version: int
    opset: int


@dataclass(frozen=True)
class Image:
    """An image, by its name; only a tag of an NVIDIA release tells its contents."""

    name: str
    release: Release | None
    variant: str = "py3"
    """What follows the release in NVIDIA's tag: "py3", "vllm-python-py3"."""

    @property
    def onnxruntime(self) -> OnnxRuntime | None:
        """Its oldest possible ONNX Runtime: that of the last known release up to this one."""
        if self.backends is None or "onnxruntime" not in self.backends:
            return None
        known = [release for release in _ONNX_RUNTIMES if self.release and release <= self.release]
        return _ONNX_RUNTIMES[max(known)] if known else None

    @property
    def backends(self) -> frozenset[str] | None:
        """Its backends; None if the tag does not tell."""
        backends = _BACKENDS.get(self.variant)
        if self.release is None or backends is None:
            return None
        return backends - {"tensorflow"} if self.release > LAST_WITH_TENSORFLOW else backends

    @property
    def agents(self) -> frozenset[str] | None:
        """Its repository agents; None if the tag does not tell."""
        return frozenset({"checksum"}) if self.release and self.variant == "py3" else None

    @property
    def contents(self) -> str | None:
        """What an image has that cannot serve a model; None for one that can, or that nobody knows."""
        return _NO_SERVERS.get(self.variant.removeprefix("py3-igpu-").removeprefix("py3-")) if self.release else None


def parse_image(name: str, *, may_be_tag: bool = True) -> Image:
    """Parse an image's name (`nvcr.io/nvidia/tritonserver:26.07-py3`), or a tag alone, unless Docker would read it."""
    match = re.search(r"(?:^|:)(\d\d)\.(\d\d)(?:-([a-z0-9-]+))?$", name)
    is_ours = (may_be_tag and ":" not in name) or "nvidia/tritonserver:" in name
    if not match or not is_ours:
        return Image(name, None)
    return Image(name, (int(match[1]), int(match[2])), match[3] or "py3")


def image_with(backend: str, release: Release | None) -> str | None:
    """Name an image of NVIDIA's with a backend, of this release or the last that had it; None where none has it."""
    variant = next((variant for variant, backends in _BACKENDS.items() if backend in backends), None)
    if variant is None:
        return None
    release = release or parse_image(DEFAULT_IMAGE).release or LAST_WITH_TENSORFLOW
    if backend in ("vllm", "tensorrtllm"):
        release = max(release, _FIRST_WITH_LLMS)
    year, month = min(release, LAST_WITH_TENSORFLOW) if backend == "tensorflow" else release
    return f"{REPOSITORY}:{year:02}.{month:02}-{variant}"


def known_backends() -> frozenset[str]:
    """Give the backends that any image of NVIDIA's has."""
    return frozenset[str]().union(*_BACKENDS.values())


REPOSITORY = "nvcr.io/nvidia/tritonserver"

# https://docs.nvidia.com/deeplearning/triton-inference-server/release-notes/
LAST_WITH_TENSORFLOW: Release = (25, 2)
_FIRST_WITH_LLMS: Release = (23, 10)

# Of py3: "Supported Backends" in triton-inference-server/tutorials, Triton_Inference_Server_Python_API/README.md. Of
# the others: their descriptions in NVIDIA's catalog, and what server's compose.py copies. Nobody lists py3-igpu.
_BACKENDS = {
    "py3": frozenset(
        (
            *("dali", "fil", "identity", "onnxruntime", "openvino", "python", "pytorch", "repeat", "square"),
            *("tensorflow", "tensorrt"),
        )
    ),
    "vllm-python-py3": frozenset({"python", "vllm"}),
    "trtllm-python-py3": frozenset({"python", "tensorrtllm"}),
    "pyt-python-py3": frozenset({"python", "pytorch"}),
    "tf2-python-py3": frozenset({"python", "tensorflow"}),
    **{f"py3-{name}": frozenset[str]() for name in ("min", "sdk", "igpu-min", "igpu-sdk")},
}
_NO_SERVERS = {
    "min": "what images are built from: neither the server nor a backend",
    "sdk": "clients alone: neither the server nor a backend",
}

# The runtime of each image is in its release notes. The versions that a runtime loads were tried with its wheel, on a
# graph of one Identity node.
_ONNX_RUNTIMES: dict[Release, OnnxRuntime] = {
    (25, 2): OnnxRuntime("1.20.1", 10, 21),
    (25, 7): OnnxRuntime("1.22.0", 10, 22),
    (25, 9): OnnxRuntime("1.23.0", 11, 23),
    (26, 2): OnnxRuntime("1.24.1", 13, 25),
    (26, 7): OnnxRuntime("1.27.0", 13, 26),
}

# What may be installed here and is in no image yet, tried in the same way.
_NEWER_RUNTIMES = (OnnxRuntime("1.32.0", 14, 28),)


def runtime_of(version: str) -> OnnxRuntime | None:
    """Look up an installed ONNX Runtime by its version; patch releases load the same files. None for an unknown one."""
    minor = version.split(".")[:2]
    known = (*_ONNX_RUNTIMES.values(), *_NEWER_RUNTIMES)
    return next((runtime for runtime in known if runtime.version.split(".")[:2] == minor), None)
