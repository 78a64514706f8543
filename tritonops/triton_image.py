"""The backends and the ONNX Runtime of a Triton image."""

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

    @property
    def onnxruntime(self) -> OnnxRuntime | None:
        """Its oldest possible ONNX Runtime: that of the last known release up to this one."""
        known = [release for release in _ONNX_RUNTIMES if self.release and release <= self.release]
        return _ONNX_RUNTIMES[max(known)] if known else None

    @property
    def backends(self) -> frozenset[str] | None:
        """Its backends; None if the tag does not tell."""
        if self.release is None:
            return None
        return _BACKENDS | {"tensorflow"} if self.release <= LAST_WITH_TENSORFLOW else _BACKENDS


def parse_image(name: str) -> Image:
    """Parse an image's name (`nvcr.io/nvidia/tritonserver:26.07-py3`), or a tag alone."""
    match = re.search(r"(?:^|:)(\d\d)\.(\d\d)(?:-py3.*)?$", name)
    is_ours = ":" not in name or "nvidia/tritonserver:" in name
    return Image(name, (int(match[1]), int(match[2])) if match and is_ours else None)


# https://docs.nvidia.com/deeplearning/triton-inference-server/release-notes/
LAST_WITH_TENSORFLOW: Release = (25, 2)

_BACKENDS = frozenset({"onnxruntime", "tensorrt", "pytorch", "python", "openvino", "dali", "fil", "identity"})

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
