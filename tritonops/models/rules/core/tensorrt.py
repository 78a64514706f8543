"""What only a TensorRT model may have: shape tensors, formats that are not linear, optimization profiles.

The rules are those of the core's model_config_utils.cc: ValidateModelInput, ValidateNonLinearFormatIO and
ValidateInstanceGroup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from tritonops.models.rules.core.effective import effective_platform
from tritonops.models.rules.finding import Problem, Subject


def tensorrt_problems(subject: Subject) -> Iterator[Problem]:
    """Find what only a TensorRT model may have elsewhere, and what one has wrongly."""
    platform = effective_platform(subject)
    for tensor in chain(subject.config.input, subject.config.output):
        yield from _tensor(tensor, platform)
    if not subject.is_ensemble:
        for group in subject.config.instance_group:
            yield from _profiles(list(group.profile), platform)


def _tensor(tensor: Any, platform: str) -> Iterator[Problem]:
    if platform != "tensorrt_plan":
        if tensor.is_shape_tensor or tensor.is_non_linear_format_io:
            yield _tensorrt_only(f"{tensor.name!r} is a shape tensor, or of a non-linear format", platform)
    elif tensor.is_non_linear_format_io and len(tensor.dims) != 3:
        yield Problem(
            "format-dims",
            f"{tensor.name!r} has a non-linear format and {len(tensor.dims)} dims",
            "Triton refuses it: 'Non-linear IO format … requires 3 dims'",
            "declare 3 dims, without the batch, or take `is_non_linear_format_io` out",
        )


def _profiles(profiles: list[str], platform: str) -> Iterator[Problem]:
    if profiles and platform != "tensorrt_plan":
        yield _tensorrt_only("an instance group has a `profile`", platform)
        return
    # std::stoi reads the number that a text begins with.
    if bad := [profile for profile in profiles if not re.match(r"\s*(\+?\d|-0+(?!\d))", profile)]:
        yield Problem(
            "bad-profile",
            f"an instance group has the `profile` {bad[0]!r}",
            "Triton refuses it: it should be 'the string representation of a non-negative integer'",
            'write the number of the profile: profile: [ "0" ]',
        )


def _tensorrt_only(what: str, platform: str) -> Problem:
    return Problem(
        "tensorrt-only",
        what,
        f"Triton refuses it: that is 'only supported for TensorRT', and this is {platform or 'another backend'!r}",
        "take it out",
    )
