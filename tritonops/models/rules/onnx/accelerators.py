"""optimization.execution_accelerators of an ONNX model: onnxruntime.cc, ModelState::LoadModel.

Those for GPUs are read for instances on a GPU, those for the CPU always. The embedded backend reads neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from tritonops.errors import near_misses
from tritonops.models.rules.core.instance_groups import may_use_gpus
from tritonops.models.rules.finding import Problem, Severity, Subject

_OF_GPU, _OF_CPU = ("tensorrt", "cuda"), ("openvino",)
_PRECISIONS = ("FP32", "FP16", "INT8")
TRUTHS = frozenset({"true", "on", "1", "false", "off", "0"})
"""What ParseBoolValue of backend_common.cc takes, in any case."""

_INTEGERS = (
    *("max_workspace_size_bytes", "trt_max_partition_iterations", "trt_min_subgraph_size", "trt_dla_core"),
    *("trt_builder_optimization_level", "trt_auxiliary_streams", "trt_ep_context_embed_mode"),
)
_SWITCHES = (
    *("int8_use_native_calibration_table", "trt_dla_enable", "trt_engine_cache_enable", "trt_dump_subgraphs"),
    *("trt_force_sequential_engine_build", "trt_context_memory_sharing_enable", "trt_layer_norm_fp32_fallback"),
    *("trt_timing_cache_enable", "trt_force_timing_cache", "trt_detailed_build_log", "trt_build_heuristics_enable"),
    *("trt_sparsity_enable", "trt_cuda_graph_enable", "trt_dump_ep_context_model"),
)
_TEXTS = (
    *("int8_calibration_table_name", "trt_engine_cache_path", "trt_engine_cache_prefix", "trt_timing_cache_path"),
    *("trt_tactic_sources", "trt_extra_plugin_lib_paths", "trt_profile_min_shapes", "trt_profile_max_shapes"),
    *("trt_profile_opt_shapes", "trt_ep_context_file_path"),
)
_OF_TENSORRT = ("precision_mode", *_INTEGERS, *_SWITCHES, *_TEXTS)
_OF_TENSORFLOW = ("max_cached_engines", "minimum_segment_size")
"""Parameters of the TensorFlow backend's accelerator of the same name."""
# ONNX Runtime's cuda_execution_provider_info.cc; it refuses what it does not know, and later releases know more.
_OF_CUDA = (
    *("device_id", "gpu_mem_limit", "arena_extend_strategy", "cudnn_conv_algo_search", "do_copy_in_default_stream"),
    *("cudnn_conv_use_max_workspace", "enable_cuda_graph", "cudnn_conv1d_pad_to_nc1d", "tunable_op_enable"),
    *("tunable_op_tuning_enable", "tunable_op_max_tuning_duration_ms", "enable_skip_layer_norm_strict_mode"),
    *("prefer_nhwc", "use_ep_level_unified_stream", "use_tf32", "fuse_conv_bias", "sdpa_kernel"),
    *("has_user_compute_stream", "user_compute_stream", "gpu_external_alloc", "gpu_external_free"),
    "gpu_external_empty_cache",
)


def accelerator_problems(subject: Subject) -> Iterator[Problem]:
    """Find accelerators that the backend does not have, and parameters that they do not take."""
    accelerators = subject.config.optimization.execution_accelerators
    embedded = subject.server.is_embedded
    of_gpu: Severity = "error" if not embedded and may_use_gpus(subject) else "warning"
    for accelerator in accelerators.gpu_execution_accelerator:
        yield from _accelerator(accelerator, _OF_GPU, of_gpu)
    for accelerator in accelerators.cpu_execution_accelerator:
        yield from _accelerator(accelerator, _OF_CPU, "warning" if embedded else "error")


def _accelerator(accelerator: Any, known: tuple[str, ...], severity: Severity) -> Iterator[Problem]:
    name, kind = accelerator.name, "gpu" if known is _OF_GPU else "cpu"
    if name not in known:
        other = _OF_CPU if known is _OF_GPU else _OF_GPU
        moved = f"it belongs into {'cpu' if kind == 'gpu' else 'gpu'}_execution_accelerator" if name in other else ""
        yield _problem(
            "unknown-accelerator",
            f"the ONNX Runtime backend has no {kind} execution accelerator {name!r}",
            f"'unknown Execution Accelerator {name!r} is requested'",
            moved or near_misses(name.lower(), known, "accelerators"),
            severity,
        )
    elif name == "tensorrt":
        yield from _tensorrt(accelerator.parameters, severity)
    elif name == "cuda":
        yield from _cuda(accelerator.parameters, severity)


def _tensorrt(parameters: Mapping[str, str], severity: Severity) -> Iterator[Problem]:
    for name, value in sorted(parameters.items()):
        if name not in _OF_TENSORRT:
            only = "only the TensorFlow backend takes it: take it out" if name in _OF_TENSORFLOW else ""
            yield _problem(
                "accelerator-parameter",
                f"the accelerator 'tensorrt' of ONNX models has no parameter {name!r}",
                f"'unknown parameter {name!r} is provided for TensorRT Execution Accelerator'",
                only or near_misses(name, _OF_TENSORRT, "parameters"),
                severity,
            )
        elif expected := _expected(name, value):
            yield _problem(
                "accelerator-parameter",
                f"parameter {name!r} of the accelerator 'tensorrt' is {value!r}",
                "'unsupported precision mode', or 'failed to convert'",
                f"write {expected}",
                severity,
            )


def _expected(name: str, value: str) -> str | None:
    """Say what a parameter takes; None where it takes this value. std::stoi reads what a text begins with."""
    if name == "precision_mode" and value not in _PRECISIONS:
        return ", ".join(_PRECISIONS[:-1]) + f" or {_PRECISIONS[-1]}"
    if name in _INTEGERS and not re.match(r"\s*[+-]?[0-9]", value):
        return "a whole number"
    return "true or false" if name in _SWITCHES and value.lower() not in TRUTHS else None


def _cuda(parameters: Mapping[str, str], severity: Severity) -> Iterator[Problem]:
    """Of unknown options, only misspelled ones are known not to be those of a later ONNX Runtime."""
    for name in sorted(parameters):
        near = [] if name in _OF_CUDA else get_close_matches(name.lower(), _OF_CUDA, n=1, cutoff=0.85)
        if near:
            yield _problem(
                "accelerator-parameter",
                f"the accelerator 'cuda' has no parameter {name!r}",
                "ONNX Runtime does not know the option",
                f"Did you mean {near[0]!r}?",
                severity,
            )


def _problem(code: str, what: str, message: str, fix: str, severity: Severity) -> Problem:
    refused = "Triton refuses the model" if severity == "error" else "this server passes over it; others refuse it"
    return Problem(code, what, f"{refused}: {message}", fix, severity)
