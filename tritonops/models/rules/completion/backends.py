"""Which backends complete a config, as their sources say; the core itself completes no tensor.

onnxruntime.cc (AutoCompleteConfig, r26.04), openvino.cc (AutoCompleteInputOrOutput, r25.01), tensorrt's model_state.cc
(FixIO, r24.10), pt/model_state.cc and libtorch.cc of pytorch (AutoCompleteConfig, r26.04), identity.cc (r26.04).
"""

from __future__ import annotations

from tritonops.models.rules.finding import Subject

DEFAULT_MAX_BATCH = 4
"""What a backend takes where a model takes batches and its config does not say how many, unless told otherwise."""

_COMPLETES_LISTS = frozenset({"onnxruntime", "openvino"})
"""These fill in all of `input`, or of `output`, where it is empty; what is declared stays as it is."""
_COMPLETES_NOTHING = frozenset({"identity", "pytorch"})
SETS_NO_CONFIG = frozenset({"identity"})
"""These refuse a model without config.pbtxt: nobody gives the core a config (Model::Init)."""
NEEDS_TENSORS = frozenset({"pytorch"})
"""These refuse a model without inputs, or without outputs (ValidateInputs and ValidateOutputs of pytorch)."""
COUNTS_INPUTS = frozenset({"onnxruntime", "pytorch"})
"""These compare the number of declared inputs with that of the model's (ValidateInputs of both)."""


def completes_lists(backend: str | None) -> bool:
    """Whether a backend completes `input` and `output` only as a whole."""
    return backend in _COMPLETES_LISTS


def keeps_tensors(backend: str | None) -> bool:
    """Whether a tensor that is declared without a type or dims stays so; for other backends nobody knows."""
    return backend in _COMPLETES_LISTS or backend in _COMPLETES_NOTHING


def completes_nothing(backend: str | None) -> bool:
    """Whether a backend takes every config as it is."""
    return backend in _COMPLETES_NOTHING


def why_not_completed(subject: Subject) -> str:
    """Say why a server completes no config; "" where it does, and for ensembles, which none completes."""
    server = subject.server
    if server.completes_configs or subject.is_ensemble:
        return ""
    reason = "does not complete configs" if server.is_embedded else "is started with --disable-auto-complete-config"
    return f"; {server.name} {reason}"


def is_completed(subject: Subject) -> bool:
    """Whether the judged server completes the config of this model at all."""
    return subject.server.completes_configs and not subject.is_ensemble
