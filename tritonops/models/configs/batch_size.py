"""The max_batch_size of a generated config."""

from __future__ import annotations

from tritonops.errors import InputError
from tritonops.models.configs.config_options import ConfigOptions
from tritonops.models.graphs.batching import looks_like_length
from tritonops.models.graphs.onnx_graph import Graph
from tritonops.models.graphs.trial import BatchTrial

_DEFAULT_BATCH = 8


def why_no_batches(graph: Graph, batches: BatchTrial) -> str | None:
    """Say why there are no batches by default: not possible, not proved, or not meant."""
    return looks_like_length(graph) if batches.verdict == "proved" else batches.reason


def largest_batch(graph: Graph, options: ConfigOptions, batches: BatchTrial) -> int:
    """Choose max_batch_size. Raises InputError where the graph does not support the options."""
    if options.max_batch_size is None and not options.dynamic_batching:
        return 0 if why_no_batches(graph, batches) else _DEFAULT_BATCH
    if options.max_batch_size != 0 and batches.verdict == "refuted":
        raise InputError(f"the graph takes no batches: {batches.reason}")
    if options.max_batch_size is not None:
        return options.max_batch_size
    if batches.verdict == "proved" and (reason := looks_like_length(graph)):
        raise InputError(f"the graph takes no batches: {reason}", hint="--max-batch-size makes a batch of it.")
    return _DEFAULT_BATCH
