"""The wiring of an ensemble, whatever its steps are.

The rules are those of ValidateEnsembleSchedulingConfig and BuildEnsembleGraph in the core's model_config_utils.cc
(r24.10 and r26.04 alike).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tritonops.models.configs.pbtxt import ModelConfig

FILES_OF_BACKENDS = ("model.plan", "model.onnx", "model.xml", "model.pt", "model.py")
"""Names of files from which AutoCompleteBackendFields takes the backend, whatever the `platform`."""


def form_mistakes(config: ModelConfig) -> Iterator[str]:
    """Find what an ensemble may not have, or lacks."""
    if config.platform != "ensemble":
        yield f"`ensemble_scheduling` stands in a model whose `platform` is {config.platform!r}"
    if config.backend:
        yield f"an ensemble has no `backend`, and this one has {config.backend!r}"
    if config.default_model_filename in FILES_OF_BACKENDS:  # the core takes the backend from it
        yield f"an ensemble has no `default_model_filename`, and this one has {config.default_model_filename!r}"
    for field in ("instance_group", "model_warmup"):
        if len(getattr(config, field)):
            yield f"an ensemble has no `{field}`"
    if config.HasField("optimization"):
        yield "an ensemble has no `optimization`"
    if not config.ensemble_scheduling.step:
        yield "the ensemble has no `step`"
    for number, step in enumerate(config.ensemble_scheduling.step):
        for field in ("model_name", "input_map", "output_map"):
            if not getattr(step, field):
                yield f"step {number} has no `{field}`"


def wiring_mistakes(config: ModelConfig) -> Iterator[str]:
    """Find tensors that no step writes, that several write, or that nothing reads."""
    inputs, outputs = ({tensor.name for tensor in tensors} for tensors in (config.input, config.output))
    steps = config.ensemble_scheduling.step
    read = {name for step in steps for name in step.input_map.values()}
    written = Counter(name for step in steps for name in step.output_map.values())
    for name in sorted(inputs - read - written.keys()):
        yield f"tensor {name!r}, an input, is not used"
    ready = _reachable(inputs & (read | written.keys()), steps)
    for name in sorted(read | written.keys() | outputs):
        if written[name] > 1:
            yield f"tensor {name!r} is written more than once"
        elif name not in ready:
            yield f"tensor {name!r} is not written, or only after itself"
        elif name not in read | outputs:
            yield f"tensor {name!r} is not used"


def _reachable(inputs: set[str], steps: Any) -> set[str]:
    ready = set(inputs)
    for _ in steps:
        for step in steps:
            if set(step.input_map.values()) <= ready:
                ready |= set(step.output_map.values())
    return ready
