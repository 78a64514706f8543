"""Instance groups, on servers with GPUs and without."""

import pytest

from tests.models.rules.subjects import codes, subject
from tritonops.models.rules.core.instance_groups import instance_group_problems, may_use_gpus


@pytest.mark.parametrize(
    ("group", "gpus", "expected"),
    [
        ("kind: KIND_CPU", 0, []),
        ("kind: KIND_GPU", 0, ["no-such-gpu"]),
        ("kind: KIND_GPU", 1, []),
        ("kind: KIND_GPU", None, []),
        ("kind: KIND_GPU gpus: [ 0, 1 ]", 1, ["no-such-gpu"]),
        ("kind: KIND_GPU gpus: [ -1 ]", None, ["no-such-gpu"]),
        ("gpus: [ 0 ]", 0, ["no-such-gpu"]),
        ("gpus: [ 0 ]", 1, []),
        ("gpus: [ 1 ]", 1, ["no-such-gpu"]),
        ("gpus: [ 1 ]", None, []),
        ("", 0, []),
        ("kind: KIND_CPU gpus: [ 0 ]", 1, ["gpus-without-gpu-kind"]),
        ("kind: KIND_MODEL gpus: [ 0 ]", 1, ["gpus-without-gpu-kind"]),
        ("kind: 9", 1, ["unknown-kind"]),
        ("kind: KIND_CPU rate_limiter { priority: 1 }", 0, ["rate-limiter-off"]),
    ],
)
def test_groups_are_judged_by_kind_and_by_the_gpus_of_the_server(group, gpus, expected):
    found = subject(("kind: KIND_CPU", group), gpus=gpus)
    assert codes(instance_group_problems(found)) == expected


@pytest.mark.parametrize(("count", "expected"), [(0, []), (2, []), (-1, ["instance-count"])])
def test_a_negative_count_is_not_what_is_served(count, expected):
    assert codes(instance_group_problems(subject(("count: 1", f"count: {count}")))) == expected


@pytest.mark.parametrize(
    ("group", "gpus", "may"),
    [("kind: KIND_CPU", 1, False), ("kind: KIND_GPU", None, True), ("", 1, True), ("", 0, False)],
)
def test_instances_may_be_on_gpus_where_the_kind_and_the_server_let_them(group, gpus, may):
    assert may_use_gpus(subject(("kind: KIND_CPU", group), gpus=gpus)) is may
