"""Instance groups: what the core's NormalizeInstanceGroup makes of them, and what ValidateInstanceGroup then refuses.

Both are in model_config_utils.cc. A group without a kind is one of KIND_AUTO: of KIND_GPU where all its `gpus` are
there, and else of KIND_CPU, which must not name any.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tritonops.models.rules.finding import Problem, Subject

_GPU_ELSEWHERE = "name only GPUs that are there, or use the CPU config: `inv models.config --cpu`"


def instance_group_problems(subject: Subject) -> Iterator[Problem]:
    """Find groups of a wrong kind, GPUs that are not there, and settings that Triton passes over."""
    if subject.is_ensemble:
        return
    for group in subject.config.instance_group:
        yield from _group(group, subject.server.gpus)
    if any(group.HasField("rate_limiter") for group in subject.config.instance_group):
        yield Problem(
            "rate-limiter-off",
            "an instance group has a `rate_limiter`",
            "Triton passes over it, unless the server is started with --rate-limit=execution_count",
            "start the server with --rate-limit=execution_count, or take `rate_limiter` out",
            "warning",
        )


def may_use_gpus(subject: Subject) -> bool:
    """Whether an instance would be on a GPU, on a server that has some or of which nobody knows."""
    kinds = {group.kind for group in subject.config.instance_group} or {0}
    return subject.server.gpus != 0 and bool(kinds & {0, 1})  # KIND_AUTO, KIND_GPU


def _group(group: Any, there: int | None) -> Iterator[Problem]:
    if group.kind not in group.Kind.values():
        yield Problem(
            "unknown-kind",
            f"an instance group has the kind {group.kind}, which is none of {', '.join(group.Kind.keys())}",
            "Triton refuses it: the group 'has unexpected kind KIND_AUTO'",
            "write a kind by its name",
        )
    elif group.kind in (group.KIND_CPU, group.KIND_MODEL) and group.gpus:
        yield Problem(
            "gpus-without-gpu-kind",
            f"an instance group of {group.Kind.Name(group.kind)} names `gpus`",
            "Triton refuses it: the kind 'specifies one or more GPUs'",
            "take `gpus` out, or write KIND_GPU",
        )
    elif group.kind == group.KIND_GPU or group.gpus:
        yield from _gpus(group, there)
    if group.count < 0:
        yield Problem(
            "instance-count",
            f"an instance group has the `count` {group.count}",
            "Triton serves the model with its default number of instances",
            "write how many, or leave `count` out",
            "warning",
        )


def _listed(gpus: list[int]) -> str:
    return ", ".join(map(str, gpus))


def _gpus(group: Any, there: int | None) -> Iterator[Problem]:
    absent = [gpu for gpu in group.gpus if gpu < 0 or (there is not None and gpu >= there)]
    if not absent and (there != 0 or group.kind != group.KIND_GPU):
        return
    machine = "" if there is None else f"; the server has {there} GPUs"
    if group.kind == group.KIND_GPU:
        why = "Triton refuses it: 'specifies invalid or unsupported gpu id', or 'no GPUs are available'"
    else:
        why = "Triton takes the group for one of KIND_CPU, and refuses it: that 'specifies one or more GPUs'"
    negative = absent and all(gpu < 0 for gpu in absent)
    yield Problem(
        "no-such-gpu",
        f"an instance group wants GPU {_listed(absent) or 'instances'}{machine}",
        why,
        "leave `gpus` out: KIND_GPU takes every GPU" if negative else _GPU_ELSEWHERE,
    )
