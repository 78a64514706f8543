"""A config by itself: what Triton's core refuses before any backend sees it.

The rules, and the words in quotes, are those of the core's model_config_utils.cc.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tritonops.errors import near_misses
from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.models.rules.finding import Problem, Subject
from tritonops.models.rules.scheduling import scheduling_problems
from tritonops.models.rules.tensors import tensor_problems, tensorrt_only

_PLATFORMS = {
    "onnxruntime": ("onnxruntime_onnx",),
    "tensorflow": ("tensorflow_savedmodel", "tensorflow_graphdef"),
    "tensorrt": ("tensorrt_plan",),
    "pytorch": ("pytorch_libtorch", "pytorch_aoti", "torch_aoti"),
}
# Where neither `backend` nor `platform` is set, the name of the file decides.
BACKEND_OF_FILE = {
    "model.savedmodel": "tensorflow",
    "model.graphdef": "tensorflow",
    "model.plan": "tensorrt",
    "model.onnx": "onnxruntime",
    "model.xml": "openvino",
    "model.pt": "pytorch",
    "model.py": "python",
}


def config_problems(subject: Subject) -> Iterator[Problem]:
    """Find what is wrong with a config, whatever its model looks like."""
    yield from _name(subject)
    yield from _backend(subject)
    yield from _batching(subject)
    for rule in (tensor_problems, scheduling_problems, _cache, _agents):
        yield from rule(subject.config)
    if not subject.is_ensemble:
        yield from _instances(subject)


def effective_backend(subject: Subject) -> str | None:
    """Tell which backend serves the model, as Triton does; None where nothing says so."""
    config = subject.config
    if config.backend:
        return str(config.backend)
    if config.platform:
        return next((backend for backend, names in _PLATFORMS.items() if config.platform in names), None)
    if config.default_model_filename:
        return BACKEND_OF_FILE.get(config.default_model_filename)
    if subject.home and subject.versions:
        files = {path.name for path in (subject.home / str(subject.versions[0])).iterdir()}
        return next((backend for name, backend in BACKEND_OF_FILE.items() if name in files), None)
    return None


def _name(subject: Subject) -> Iterator[Problem]:
    if subject.config.name and subject.config.name != subject.name:
        yield Problem(
            "name-differs",
            f"`name` is {subject.config.name!r}, the model's folder is {subject.name!r}",
            "Triton refuses it: 'directory name must equal model name'",
            "leave `name` out, or make it the folder's",
        )


def _backend(subject: Subject) -> Iterator[Problem]:
    config, backend = subject.config, effective_backend(subject)
    if subject.is_ensemble:
        return
    if backend is None and (config.platform or subject.home):
        yield Problem(
            "no-backend",
            f"`platform` is {config.platform!r} and `backend` is not set" if config.platform else "no `backend` is set",
            "Triton refuses it: 'unexpected platform type', or 'could not determine backend'",
            'write backend: "onnxruntime", or the one that the model needs',
        )
    elif backend and config.platform and config.platform not in _PLATFORMS.get(backend, (config.platform,)):
        yield Problem(
            "platform-differs",
            f"`platform` {config.platform!r} does not belong to `backend` {backend!r}",
            "Triton refuses it: 'unexpected platform and backend pair'",
            f"leave `platform` out, or write {_PLATFORMS[backend][0]!r}",
        )
    yield from _missing_backend(subject, backend)


def _missing_backend(subject: Subject, backend: str | None) -> Iterator[Problem]:
    there = subject.server.backends
    if backend is None or there is None or backend in there or subject.config.runtime:
        return
    if backend == "tensorflow":
        fix = "serve it with TRITON_IMAGE=nvcr.io/nvidia/tritonserver:25.02-py3, or export the model to ONNX"
    else:
        fix = near_misses(backend, there, "backends")
    yield Problem(
        "unknown-backend",
        f"{subject.server.name} has no backend {backend!r}",
        "Triton does not load the model: 'unable to find backend library'",
        fix,
    )


def _batching(subject: Subject) -> Iterator[Problem]:
    config = subject.config
    if config.max_batch_size < 0:
        yield Problem(
            "negative-batch",
            f"`max_batch_size` is {config.max_batch_size}",
            "Triton refuses it: it 'must be non-negative'",
            "write the largest batch, or 0 where the model takes none",
        )
    if config.HasField("dynamic_batching") and config.max_batch_size == 0:
        yield Problem(
            "batching-without-batches",
            "`dynamic_batching` with a `max_batch_size` of 0",
            "Triton serves the model and batches nothing: 0 means that it takes no batches",
            "give `max_batch_size`, or take `dynamic_batching` out",
            "warning",
        )


def _instances(subject: Subject) -> Iterator[Problem]:
    for group in subject.config.instance_group:
        if group.kind in (group.KIND_CPU, group.KIND_MODEL) and group.gpus:
            yield Problem(
                "gpus-without-gpu-kind",
                f"an instance group of {group.Kind.Name(group.kind)} names `gpus`",
                "Triton refuses it: the kind 'specifies one or more GPUs'",
                "take `gpus` out, or write KIND_GPU",
            )
        if group.kind == group.KIND_GPU:
            yield from _gpus(group, subject.server.gpus)
        if group.profile and effective_backend(subject) != "tensorrt":
            yield tensorrt_only("an instance group has a `profile`", subject.config)


def _gpus(group: Any, there: int | None) -> Iterator[Problem]:
    if there is None:
        return
    absent = [gpu for gpu in group.gpus if gpu >= there]
    if absent or there == 0:
        yield Problem(
            "no-such-gpu",
            f"an instance group wants GPU {', '.join(map(str, absent)) or 'instances'}; this machine has {there} GPUs",
            "Triton refuses it: 'specifies invalid or unsupported gpu id', or 'no GPUs are available'",
            "name only GPUs that are there, or use the CPU config: `inv models.config --cpu`",
        )


def _cache(config: ModelConfig) -> Iterator[Problem]:
    if not config.response_cache.enable:
        return
    if config.model_transaction_policy.decoupled or config.HasField("sequence_batching"):
        yield Problem(
            "cache-unsupported",
            "`response_cache` with sequence batching, or a decoupled transaction policy",
            "Triton refuses it: 'Response Cache does not currently support' those",
            "take `response_cache` out",
        )
    else:
        yield Problem(
            "cache-needs-server",
            "`response_cache` is on",
            "Triton serves the model without a cache, unless the server is started with --cache-config",
            "start the server with --cache-config=local,size=…, or take `response_cache` out",
            "warning",
        )


def _agents(config: ModelConfig) -> Iterator[Problem]:
    for agent in config.model_repository_agents.agents:
        if agent.name != "checksum":
            yield Problem(
                "unknown-agent",
                f"`model_repository_agents` names {agent.name!r}; NVIDIA's images have the agent 'checksum' alone",
                "Triton refuses it: it is 'unable to find' the agent's library",
                "take it out, or use an image that has it",
            )


def served_versions(subject: Subject) -> tuple[int, ...]:
    """Tell which versions on disk Triton would serve."""
    return (VersionPolicy.of(subject.config) or VersionPolicy("latest")).served(subject.versions)
