"""What the embedded Triton lacks: its ONNX backend is the onnxruntime package behind Triton's Python backend."""

from __future__ import annotations

from collections.abc import Iterator

from tritonops.models.rules.config import effective_backend
from tritonops.models.rules.finding import Problem, Subject


def embedded_problems(subject: Subject) -> Iterator[Problem]:
    """Find features of NVIDIA's ONNX backend that the embedded one refuses."""
    config = subject.config
    if not subject.server.is_embedded or effective_backend(subject) != "onnxruntime":
        return
    requested = {
        "sequence_batching": config.HasField("sequence_batching"),
        "batch_input": bool(config.batch_input),
        "batch_output": bool(config.batch_output),
        "allow_ragged_batch": any(tensor.allow_ragged_batch for tensor in config.input),
        "decoupled": config.model_transaction_policy.decoupled,
    }
    for feature in (feature for feature, is_requested in requested.items() if is_requested):
        yield Problem(
            "embedded-unsupported",
            f"`{feature}` for an ONNX model",
            f"the embedded Triton refuses it: '{feature.replace('sequence_', 'sequence ')} is not supported'",
            "serve it with an image of NVIDIA: `inv compose.up --cpu`",
        )
