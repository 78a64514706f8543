import pytest

from tritonops.models.configs.pbtxt import parse_config
from tritonops.triton.client.model_config import as_dict, as_diff, differences

DISK = """
backend: "onnxruntime"
max_batch_size: 8
input [{ name: "x" data_type: TYPE_FP32 dims: [ 3, 224 ] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [ 10 ] label_filename: "labels.txt" }]
instance_group [{ count: 2 kind: KIND_GPU }]
dynamic_batching { preferred_batch_size: [ 4, 8 ] }
version_policy { specific { versions: [ 3, 1 ] } }
parameters { key: "threads" value { string_value: "2" } }
"""
# As Triton answers: completed by Triton itself and by the backend.
SERVED = """
name: "clip"
platform: "onnxruntime_onnx"
backend: "onnxruntime"
runtime: "model.py"
max_batch_size: 8
input [{ name: "x" data_type: TYPE_FP32 dims: [ 3, 224 ] }, { name: "mask" data_type: TYPE_BOOL dims: [ 1 ] }]
output [{ name: "z" data_type: TYPE_FP32 dims: [ 1 ] },
        { name: "y" data_type: TYPE_FP32 dims: [ 10 ] label_filename: "labels.txt" }]
instance_group [{ name: "clip_0" count: 2 kind: KIND_GPU gpus: [ 0, 1 ] }]
default_model_filename: "model.onnx"
dynamic_batching { preferred_batch_size: [ 4, 8 ] default_queue_policy { max_queue_size: 0 } }
optimization { input_pinned_memory { enable: true } output_pinned_memory { enable: true } }
version_policy { specific { versions: [ 1, 3 ] } }
parameters { key: "threads" value { string_value: "2" } }
parameters { key: "added" value { string_value: "by the backend" } }
"""


def different(disk, served=SERVED):
    return [(found.path, found.disk, found.served) for found in differences(parse_config(disk), parse_config(served))]


def test_what_triton_and_the_backend_complete_is_no_difference():
    assert different(DISK) == []
    assert different("") == []
    assert different('backend: "onnxruntime"') == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("max_batch_size: 8", "max_batch_size: 4", ("max_batch_size", 4, 8)),
        ("dims: [ 3, 224 ]", "dims: [ 224, 3 ]", ("input[x].dims", [224, 3], [3, 224])),
        ('name: "x"', 'name: "w"', ("input[w]", {"name": "w", "data_type": "TYPE_FP32", "dims": [3, 224]}, None)),
        ("count: 2", "count: 3", ("instance_group[0].count", 3, 2)),
        ("kind: KIND_GPU", "kind: KIND_GPU gpus: [ 1 ]", ("instance_group[0].gpus", [1], [0, 1])),
        ("[ 4, 8 ]", "[ 8 ]", ("dynamic_batching.preferred_batch_size", [8], [4, 8])),
        ("[ 3, 1 ]", "[ 3 ]", ("version_policy.specific.versions", [3], [1, 3])),
        ('string_value: "2"', 'string_value: "4"', ("parameters.threads.string_value", "4", "2")),
        ("dynamic_batching {", "sequence_batching { } #", ("sequence_batching", {}, None)),
    ],
)
def test_what_the_disk_says_otherwise_is_a_difference(old, new, found):
    assert different(DISK.replace(old, new)) == [found]


def test_another_number_of_instance_groups_is_a_difference():
    groups = "instance_group [{ count: 2 kind: KIND_GPU }, { count: 1 kind: KIND_CPU }]"
    ((path, *_),) = different(DISK.replace("instance_group [{ count: 2 kind: KIND_GPU }]", groups))
    assert path == "instance_group"


@pytest.mark.parametrize(
    "block",
    [
        "response_cache { enable: true }",
        'model_warmup [{ name: "first" batch_size: 1 }]',
        "ensemble_scheduling { step [{ model_name: 'a' }] }",
    ],
)
def test_what_nobody_completes_and_the_disk_does_not_have_is_a_difference(block):
    ((path, disk, _),) = different('backend: "any"', f'backend: "any" {block}')
    assert path == block.split()[0]
    assert disk is None


def test_differences_are_shown_as_a_diff_from_what_is_served_to_the_disk():
    disk = parse_config('max_batch_size: 4 parameters { key: "a" value { string_value: "b" } }')
    served = parse_config("max_batch_size: 8 response_cache { enable: true }")
    assert as_diff(differences(disk, served), disk="triton/clip/config.pbtxt").splitlines() == [
        "--- served",
        "+++ triton/clip/config.pbtxt",
        "-max_batch_size: 8",
        "+max_batch_size: 4",
        '+parameters: { a: { string_value: "b" } }',
        "-response_cache: { enable: true }",
    ]


def test_a_config_becomes_plain_values_with_numbers_that_stay_numbers():
    assert as_dict(parse_config('input [{ name: "x" data_type: TYPE_INT64 dims: [ -1, 9007199254740993 ] }]')) == {
        "input": [{"name": "x", "data_type": "TYPE_INT64", "dims": [-1, 9007199254740993]}]
    }
