"""The backend of a model: whether the config says which, and whether the server has its library.

The rules are those of the core's model_config_utils.cc (ValidateModelConfig) and backend_model.cc
(GetBackendLibraryProperties).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from posixpath import normpath

from tritonops.errors import near_misses
from tritonops.models.rules.core.effective import PLATFORMS, effective_backend, effective_platform, served_versions
from tritonops.models.rules.finding import Problem, Subject
from tritonops.triton_image import image_with, known_backends, parse_image

_PYTHON_RUNTIME = "model.py"
_PYTHON_BASED = frozenset({"vllm", "pytorch"})
"""Of NVIDIA's images, the backends with a model.py beside or instead of a library."""
_LAST_WITHOUT_LIBTORCH = (24, 10)


def backend_problems(subject: Subject) -> Iterator[Problem]:
    """Find a backend that nobody names, that a platform contradicts, or that the server does not have."""
    if subject.is_ensemble:
        return
    config, backend = subject.config, effective_backend(subject)
    if backend is None or _is_newer_platform(subject):
        if config.platform or subject.home:
            yield _no_backend(str(config.platform), is_set=bool(config.backend))
    elif backend in PLATFORMS and (platform := effective_platform(subject)) not in PLATFORMS[backend]:
        what = f"`platform` {platform!r} does not belong to" if platform else "no `platform` is set for"
        yield Problem(
            "platform-differs",
            f"{what} `backend` {backend!r}",
            "Triton refuses it: 'unexpected platform and backend pair'",
            f"write backend: {backend!r} and no `platform`, or `platform` {PLATFORMS[backend][0]!r}",
        )
    if backend and config.runtime:
        yield from _runtime(subject, backend, str(config.runtime))
    elif backend:
        yield from _missing_backend(subject, backend)


def _is_newer_platform(subject: Subject) -> bool:
    """Whether the judged release is known to be older than the platform's name."""
    release = subject.server.release
    return (
        subject.config.platform in PLATFORMS["pytorch"][1:]
        and release is not None
        and release <= _LAST_WITHOUT_LIBTORCH
    )


def _no_backend(platform: str, *, is_set: bool) -> Problem:
    if is_set:
        what = f"`platform` is {platform!r}, which this release does not know"
    else:
        what = f"`platform` is {platform!r} and `backend` is not set" if platform else "no `backend` is set"
    return Problem(
        "no-backend",
        what,
        "Triton refuses it: 'unexpected platform type', or 'could not determine backend'",
        'write backend: "onnxruntime", or the one that the model needs',
    )


def _missing_backend(subject: Subject, backend: str) -> Iterator[Problem]:
    server = subject.server
    if server.backends is None or backend in server.backends or _has_own(subject, _library(backend)):
        return
    contents = parse_image(server.name).contents
    yield Problem(
        "unknown-backend",
        f"{server.name} has no backend {backend!r}" + (f": it is {contents}" if contents else ""),
        "Triton does not load the model: 'unable to find backend library'",
        _remedy(subject, backend),
    )


def _remedy(subject: Subject, backend: str) -> str:
    server = subject.server
    image = image_with(backend, server.release)
    if image is None:
        known = server.backends or known_backends()
        return near_misses(backend, known if server.is_embedded else known | known_backends(), "backends")
    if server.is_embedded:
        image = image_with(backend, None)
        return f"serve it with Docker, where TRITON_IMAGE={image} has it: `inv compose.up`"
    export = ", or export the model to ONNX" if backend == "tensorflow" else ""
    return f"serve it with TRITON_IMAGE={image}{export}"


def _runtime(subject: Subject, backend: str, runtime: str) -> Iterator[Problem]:
    """Triton joins the name to the version's folder, the model's, and the backend's, whatever it begins with."""
    if not normpath(f"/{subject.name}/{runtime}").startswith(f"/{subject.name}/"):
        why = "Triton refuses it: it is 'unable to find' the library, or it 'escapes backend directory'"
        yield _runtime_problem(f"`runtime` {runtime!r} leads out of the model's folder", why)
    elif not _may_have_runtime(subject, backend, runtime):
        what = f"there is no `runtime` {runtime!r} in the model's folder, nor with {backend!r} in {subject.server.name}"
        yield _runtime_problem(what, "Triton does not load the model: 'unable to find backend library'")


def _runtime_problem(what: str, why: str) -> Problem:
    return Problem("runtime-missing", what, why, "take `runtime` out: Triton finds the library of the backend itself")


def _may_have_runtime(subject: Subject, backend: str, runtime: str) -> bool:
    server = subject.server
    if server.backends is None or (runtime != _PYTHON_RUNTIME and (subject.home is None or _has_own(subject, runtime))):
        return True
    python_based = {"onnxruntime"} if server.is_embedded else _PYTHON_BASED
    if runtime == _PYTHON_RUNTIME:
        return backend in server.backends and backend in python_based
    return runtime == _library(backend) and backend in server.backends - {"vllm"} - (
        python_based if server.is_embedded else set()
    )


def _library(backend: str) -> str:
    return f"libtriton_{backend}.so"


def _has_own(subject: Subject, library: str) -> bool:
    """Whether a file lies in the model's folder, or in each version's."""
    home = subject.home
    if home is None:
        return False
    if _joined(home, library).exists():
        return True
    versions = served_versions(subject)
    return bool(versions) and all(_joined(home / str(version), library).exists() for version in versions)


def _joined(folder: Path, name: str) -> Path:
    """Join as Triton does: a name that begins with a slash goes below the folder, too."""
    return folder / name.lstrip("/")
