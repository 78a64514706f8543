"""What Triton fills in where a config leaves it out: the backend, its platform and file, the versions.

As AutoCompleteBackendFields does in the core's model_config_utils.cc, also with --disable-auto-complete-config.
"""

from __future__ import annotations

from pathlib import Path

from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.models.rules.finding import Subject
from tritonops.models.rules.hazards import FILES_OF_PLATFORMS

PLATFORMS = {
    "onnxruntime": ("onnxruntime_onnx",),
    "tensorflow": ("tensorflow_savedmodel", "tensorflow_graphdef"),
    "tensorrt": ("tensorrt_plan",),
    # Those besides the first are of cores after 24.10.
    "pytorch": ("pytorch_libtorch", "libtorch", "torch_aoti", "pytorch_aoti"),
}
"""The platforms of the backends that have any; the first one is the default."""

# Where neither `backend` nor `platform` is set, the name of the file decides.
_BACKEND_OF_FILE = {
    "model.savedmodel": "tensorflow",
    "model.graphdef": "tensorflow",
    "model.plan": "tensorrt",
    "model.onnx": "onnxruntime",
    "model.xml": "openvino",
    "model.pt": "pytorch",
    "model.pt2": "pytorch",
    "model.py": "python",
}
_PLATFORM_OF_FILE = {file: platform for platform, file in FILES_OF_PLATFORMS.items()}
_DEFAULT_FILES = {
    "onnxruntime": "model.onnx",
    "tensorrt": "model.plan",
    "pytorch": "model.pt",
    "python": "model.py",
    "openvino": "model.xml",
}


def effective_backend(subject: Subject) -> str | None:
    """Tell which backend serves the model, as Triton does; None where nothing says so."""
    config = subject.config
    if config.backend:
        return str(config.backend)
    if config.platform or config.default_model_filename:
        of_platform = next((backend for backend, names in PLATFORMS.items() if config.platform in names), None)
        return of_platform or _BACKEND_OF_FILE.get(config.default_model_filename)
    if subject.home is None:
        return None
    return _of_files(subject.home) or _of_name(subject.name)


def effective_platform(subject: Subject) -> str:
    """Tell the platform by which Triton's core judges the model; empty where it fills none in."""
    config, backend = subject.config, effective_backend(subject) or ""
    if config.platform:
        return str(config.platform)
    if backend == "tensorflow" and subject.home is not None:
        name = config.default_model_filename or _file_of(subject, backend) or ""
        return _PLATFORM_OF_FILE.get(name, "")
    is_of_name = not (config.backend or config.default_model_filename) and not _file_of(subject, backend)
    return "" if is_of_name else PLATFORMS.get(backend, ("",))[0]


def default_file(subject: Subject) -> str | None:
    """Name the file or folder of a version that the backend loads; None where only the backend knows."""
    config, backend = subject.config, effective_backend(subject)
    if subject.is_ensemble:
        return None
    if backend == "vllm":
        return "model.json"  # whatever the config says: vllm_backend, src/model.py
    if config.default_model_filename:
        return str(config.default_model_filename)
    if config.runtime and backend == "pytorch":
        return None  # its Python runtime takes a model.py of its own
    if backend == "tensorflow":
        platform = effective_platform(subject)
        return next((name for name, each in _PLATFORM_OF_FILE.items() if each == platform), None)
    if backend not in _DEFAULT_FILES:
        return None
    if not (config.backend or config.platform):
        return _file_of(subject, backend) or f"model.{backend}"
    return "model.pt2" if str(config.platform).endswith("_aoti") else _DEFAULT_FILES[backend]


def served_versions(subject: Subject) -> tuple[int, ...]:
    """Tell which versions on disk Triton would serve."""
    return (VersionPolicy.of(subject.config) or VersionPolicy("latest")).served(subject.versions)


def _of_files(home: Path) -> str | None:
    """Triton looks into the first folder by name, whether it is a version or not."""
    files = {path.name for path in _first_folder(home)}
    return next((backend for name, backend in _BACKEND_OF_FILE.items() if name in files), None)


def _file_of(subject: Subject, backend: str) -> str | None:
    files = {path.name for path in _first_folder(subject.home)} if subject.home else set()
    return next((name for name, each in _BACKEND_OF_FILE.items() if each == backend and name in files), None)


def _first_folder(home: Path) -> list[Path]:
    folders = sorted((path for path in home.iterdir() if path.is_dir()), key=lambda path: path.name)
    return list(folders[0].iterdir()) if folders else []


def _of_name(name: str) -> str | None:
    """`mine.identity` is served by the backend identity."""
    return name.partition(".")[2] or None
