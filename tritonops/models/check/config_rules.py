"""A config by itself: what Triton's core refuses before any backend sees it.

The rules, and the words in quotes, are those of the core's model_config_utils.cc.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from math import prod
from typing import Any

from tritonops.errors import near_misses
from tritonops.models.check.finding import Problem, Subject
from tritonops.models.pbtxt import VersionPolicy, type_name

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
    for rule in (_tensors, _dynamic_batching, _sequence_batching, _cache, _batch_tensors, _agents):
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
    there = subject.image.backends
    if backend is None or there is None or backend in there or subject.config.runtime:
        return
    if backend == "tensorflow":
        fix = "serve it with TRITON_IMAGE=nvcr.io/nvidia/tritonserver:25.02-py3, or export the model to ONNX"
    else:
        fix = near_misses(backend, there)
    yield Problem(
        "unknown-backend",
        f"{subject.image.name} has no backend {backend!r}",
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
            "`dynamic_batching` stands beside a `max_batch_size` of 0",
            "Triton serves the model and batches nothing: 0 means that it takes no batches",
            "give `max_batch_size`, or take `dynamic_batching` out",
            "warning",
        )


def _tensors(config: Any) -> Iterator[Problem]:
    for kind, tensors in (("input", config.input), ("output", config.output)):
        for tensor in tensors:
            yield from _tensor(kind, tensor, config)
        for name, count in Counter(tensor.name for tensor in tensors).items():
            if count > 1:
                yield Problem(
                    "tensor-twice",
                    f"{kind} {name!r} stands there {count} times",
                    "an input counts twice, and the model is refused; of an output one counts and the other is ignored",
                    "take one of them out",
                    "error" if kind == "input" else "warning",
                )
    if not config.output:
        yield Problem(
            "no-outputs",
            "no `output` is declared",
            "Triton serves the model, and its answers hold no tensors",
            "declare the outputs; `inv models.generate-config` writes them",
            "warning",
        )


def _tensor(kind: str, tensor: Any, config: Any) -> Iterator[Problem]:
    where = f"{kind} {tensor.name!r}" if tensor.name else f"an {kind}"
    if not tensor.name:
        yield Problem(
            "tensor-without-name", f"{where} has no `name`", _must("specify 'name'"), "name it as the model does"
        )
    if not tensor.data_type:
        yield Problem(
            "tensor-without-type",
            f"{where} has no `data_type`",
            _must("specify 'data_type'"),
            "give it, as in TYPE_FP32",
        )
    if not tensor.dims:
        yield Problem(
            "tensor-without-dims", f"{where} has no `dims`", _must("specify 'dims'"), "give them, as in [ 3 ]"
        )
    shapes = [*tensor.dims, *(tensor.reshape.shape if tensor.HasField("reshape") else ())]
    if bad := [dim for dim in shapes if dim < 1 and dim != -1]:
        yield Problem(
            "bad-dimension",
            f"{where} has a dimension of {bad[0]}",
            "Triton refuses it: a dimension 'must be integer >= 1, or -1'",
            "write the size, or -1 where it varies",
        )
    elif tensor.HasField("reshape"):
        yield from _reshape(where, tensor, config)
    if tensor.is_shape_tensor or tensor.is_non_linear_format_io:
        yield _tensorrt_only(f"{where} is a shape tensor, or of a non-linear format", config)
    if kind == "input" and tensor.format and len(tensor.dims) != 3:
        yield Problem(
            "format-dims",
            f"{where} has a `format` and {len(tensor.dims)} dims",
            "Triton refuses it: 'NHWC/NCHW require 3 dims'",
            "take `format` out; the ONNX Runtime backend does not use it",
        )


def _must(what: str) -> str:
    return f"Triton refuses it: it 'must {what}'"


def _tensorrt_only(what: str, config: Any) -> Problem:
    return Problem(
        "tensorrt-only",
        what,
        f"Triton refuses it: that is 'only supported for TensorRT', and this is {config.backend or config.platform!r}",
        "take it out",
    )


def _reshape(where: str, tensor: Any, config: Any) -> Iterator[Problem]:
    dims, shape = list(tensor.dims), list(tensor.reshape.shape)
    if not shape and config.max_batch_size == 0:
        yield Problem(
            "empty-reshape",
            f"{where} is reshaped to nothing, and the model takes no batches",
            "Triton refuses it: 'scalar tensors are not supported'",
            "write dims: [ 1 ] and no `reshape`",
        )
    elif _pieces(dims) != _pieces(shape):
        yield Problem(
            "reshape-size",
            f"{where} is reshaped from {dims} to {shape}",
            "Triton refuses it: 'has different size for dims and reshape'",
            "between the dimensions that vary, both must hold equally many elements",
        )


def _pieces(shape: list[int]) -> list[int]:
    """Count the elements between the dimensions that vary: [2, 4, -1, 6] → [8, 6]."""
    cuts = [-1, *(i for i, dim in enumerate(shape) if dim == -1), len(shape)]
    return [prod(shape[start + 1 : end]) for start, end in pairwise(cuts)]


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
            yield from _gpus(group, subject.gpus)
        if group.profile and effective_backend(subject) != "tensorrt":
            yield _tensorrt_only("an instance group has a `profile`", subject.config)


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


def _dynamic_batching(config: Any) -> Iterator[Problem]:
    batching = config.dynamic_batching
    yield from _preferred(batching.preferred_batch_size, config.max_batch_size)
    levels = batching.priority_levels
    if levels and not 1 <= batching.default_priority_level <= levels:
        yield _priority(f"`default_priority_level` is {batching.default_priority_level} of {levels} levels", levels)
    for level in batching.priority_queue_policy:
        if levels and not 1 <= level <= levels:
            yield _priority(f"a queue policy is for level {level} of {levels} levels", levels)
    policies = [batching.default_queue_policy, *batching.priority_queue_policy.values()]
    delays = any(policy.default_timeout_microseconds and policy.timeout_action == policy.DELAY for policy in policies)
    if batching.preserve_ordering and (levels > 1 or delays):
        yield Problem(
            "ordered-priorities",
            "`preserve_ordering` stands beside several priority levels, or a timeout that delays requests",
            "Triton refuses it: an order cannot be kept with those",
            "take one of the two out",
        )


def _priority(what: str, levels: int) -> Problem:
    return Problem(
        "priority-levels",
        what,
        f"Triton refuses it: it 'must be in range [1, {levels}]'",
        f"write a level from 1 to {levels}",
    )


def _preferred(sizes: Any, largest: int) -> Iterator[Problem]:
    if bad := [size for size in sizes if not 1 <= size <= largest]:
        yield Problem(
            "preferred-batch",
            f"`preferred_batch_size` holds {bad[0]}, and `max_batch_size` is {largest}",
            "Triton refuses it: it 'must be positive' and '<= max batch size'",
            f"write sizes from 1 to {largest}, or leave `preferred_batch_size` out",
        )


def _sequence_batching(config: Any) -> Iterator[Problem]:
    batching = config.sequence_batching
    yield from _preferred(batching.oldest.preferred_batch_size, config.max_batch_size)
    if not 0 <= batching.direct.minimum_slot_utilization <= 1:
        yield Problem(
            "slot-utilization",
            f"`minimum_slot_utilization` is {batching.direct.minimum_slot_utilization}",
            "Triton refuses it: it 'must be in range (0.0, 1.0]'",
            "write a share, as in 0.5",
        )
    for tensor in batching.control_input:
        for control in tensor.control:
            yield from _control(tensor.name, control)


_ID_TYPES = ("TYPE_UINT32", "TYPE_UINT64", "TYPE_INT32", "TYPE_INT64", "TYPE_STRING")


def _control(name: str, control: Any) -> Iterator[Problem]:
    is_id = control.kind == control.CONTROL_SEQUENCE_CORRID
    values = (control.int32_false_true, control.fp32_false_true, control.bool_false_true)
    kind = control.Kind.Name(control.kind)
    if is_id and type_name(control) not in _ID_TYPES:
        yield Problem(
            "sequence-control",
            f"{kind} {name!r} is not of a whole number's type, nor a string",
            "Triton refuses it: 'unexpected data type for control'",
            "write data_type: TYPE_UINT64, or what the model takes",
        )
    if not is_id and not any(values):
        yield Problem(
            "sequence-control",
            f"{kind} {name!r} does not say which values mean false and true",
            "Triton refuses it: it 'must specify int32_false_true, fp32_false_true or bool_false_true'",
            "write int32_false_true: [ 0, 1 ]",
        )


def _cache(config: Any) -> Iterator[Problem]:
    if not config.response_cache.enable:
        return
    if config.model_transaction_policy.decoupled or config.HasField("sequence_batching"):
        yield Problem(
            "cache-unsupported",
            "`response_cache` stands beside sequence batching, or a decoupled transaction policy",
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


def _batch_tensors(config: Any) -> Iterator[Problem]:
    inputs = {tensor.name for tensor in config.input}
    outputs = {tensor.name for tensor in config.output}
    for tensor in (*config.batch_input, *config.batch_output):
        if not set(tensor.source_input) <= inputs or len(tensor.source_input) != 1:
            yield Problem(
                "batch-tensor-source",
                f"a batch tensor has the sources {list(tensor.source_input)}",
                "Triton refuses it: 'unknown source input name', or 'expects 1 source input'",
                "name one of the inputs",
            )
    for tensor in config.batch_input:
        if type_name(tensor) not in ("TYPE_INT32", "TYPE_FP32"):
            yield Problem(
                "batch-tensor-type",
                f"batch input {', '.join(tensor.target_name)!r} is of another type than INT32 and FP32",
                "Triton refuses it: 'batch input data type must be TYPE_INT32 or TYPE_FP32'",
                "write one of the two",
            )
    for tensor in config.batch_output:
        if not set(tensor.target_name) <= outputs:
            yield Problem(
                "batch-tensor-target",
                f"a batch output has the targets {list(tensor.target_name)}",
                "Triton refuses it: 'unknown target output name'",
                "name one of the outputs",
            )


def _agents(config: Any) -> Iterator[Problem]:
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
