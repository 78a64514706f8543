"""The parameters and optimizations that the ONNX Runtime backend reads: onnxruntime.cc, ModelState and LoadModel.

It converts numbers by std::stoi, which reads the number that a text begins with, and passes over what it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.rules.core.effective import effective_backend
from tritonops.models.rules.core.instance_groups import may_use_gpus
from tritonops.models.rules.finding import Problem, Severity, Subject
from tritonops.models.rules.onnx.accelerators import TRUTHS, accelerator_problems

_CHOICES = {"execution_mode": ("0", "1")}
_GPU_CHOICES = {"cudnn_conv_algo_search": ("0", "1", "2"), "arena_extend_strategy": ("0", "1")}
_NUMBERS = ("intra_op_thread_count", "inter_op_thread_count")
_SWITCHES = ("enable_mem_arena", "enable_mem_pattern")
_OTHERS = (
    *("gpu_mem_limit", "do_copy_in_default_stream", "memory.enable_memory_arena_shrinkage"),
    "session.use_device_allocator_for_initializers",
)
_ALL = (*_CHOICES, *_GPU_CHOICES, *_NUMBERS, *_SWITCHES, *_OTHERS)
_LEVELS = (-1, 0, 1, 2)


def onnx_backend_problems(subject: Subject) -> Iterator[Problem]:
    """Find options that the ONNX Runtime backend refuses, or passes over as misspelled."""
    if subject.is_ensemble or effective_backend(subject) != "onnxruntime":
        return
    yield from _values(subject)
    yield from _misspelled(subject.config)
    yield from _graph_level(subject.config)
    yield from accelerator_problems(subject)


def _values(subject: Subject) -> Iterator[Problem]:
    embedded = subject.server.is_embedded
    for name, parameter in sorted(subject.config.parameters.items()):
        value = parameter.string_value
        if name in (*_CHOICES, *_NUMBERS):
            yield from _number(name, value, _CHOICES.get(name), strict=embedded)
        elif name in _GPU_CHOICES and not embedded and may_use_gpus(subject):
            yield from _number(name, value, _GPU_CHOICES[name], strict=False)
        elif name in _SWITCHES and value.lower() not in TRUTHS:
            why = "the backend refuses it: 'failed to convert … to boolean'"
            severity: Severity = "warning" if embedded else "error"
            yield _bad(name, value, _unread(why, is_read=not embedded), "write true or false", severity)


def _number(name: str, value: str, choices: tuple[str, ...] | None, *, strict: bool) -> Iterator[Problem]:
    """The embedded backend takes nothing but digits, and refuses what is less than 0."""
    fix = f"write {' or '.join(choices)}" if choices else "write a whole number; 0 lets ONNX Runtime choose"
    read = re.fullmatch("[0-9]+", value) if strict else re.match(r"\s*[+-]?[0-9]+", value)
    if read is None or (choices and str(int(read[0])) not in choices):
        yield _bad(name, value, "the backend refuses it: 'failed to convert', or 'invalid configuration value'", fix)
    elif not -(2**31) <= int(read[0]) < 2**31:
        yield _bad(name, value, "the number does not fit: the load fails, or Triton crashes over it", fix)
    elif read[0] != value:
        yield _bad(name, value, f"the backend takes it for {int(read[0])}", fix, "warning")


def _bad(name: str, value: str, why: str, fix: str, severity: Severity = "error") -> Problem:
    return Problem("bad-parameter", f"parameter {name!r} is {value!r}", why, fix, severity)


def _unread(why: str, *, is_read: bool) -> str:
    return why if is_read else "NVIDIA's backend refuses it; the embedded one does not read it"


def _misspelled(config: ModelConfig) -> Iterator[Problem]:
    for name in sorted(config.parameters):
        near = [] if name in _ALL else get_close_matches(name.lower(), _ALL, n=1, cutoff=0.8)
        if near:
            yield Problem(
                "unknown-parameter",
                f"the ONNX Runtime backend does not read a parameter {name!r}",
                "Triton serves the model without it",
                f"Did you mean {near[0]!r}?",
                "warning",
            )


def _graph_level(config: ModelConfig) -> Iterator[Problem]:
    level = config.optimization.graph.level
    if level not in _LEVELS:
        yield Problem(
            "graph-level",
            f"`optimization {{ graph {{ level: {level} }} }}` is no level of the ONNX Runtime backend",
            "Triton serves the model with all optimizations, as at level 0",
            "write -1 for basic ones, 1 for extended ones, 2 for none, or leave it out",
            "warning",
        )
