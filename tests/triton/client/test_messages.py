"""Conversions between numpy arrays, Triton's messages and plain values."""

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from tritonops.errors import TritonError
from tritonops.triton.client.api_types import TensorSpec
from tritonops.triton.client.messages import (
    infer_input,
    model_statistics,
    numpy_dtype,
    requested_outputs,
    tensor_specs,
    version_text,
)


def test_a_datatype_without_a_numpy_type_is_an_error():
    assert numpy_dtype("FP32") is np.float32
    with pytest.raises(TritonError, match="numpy has no type for Triton's FP1"):
        numpy_dtype("FP1")


def test_an_input_has_the_name_type_and_shape_of_its_array():
    tensor = infer_input("x", np.zeros((2, 3), np.int64))
    assert (tensor.name(), tensor.datatype(), list(tensor.shape())) == ("x", "INT64", [2, 3])


def test_all_outputs_are_requested_by_none_and_classes_by_their_number():
    assert requested_outputs(None) is None
    assert requested_outputs({}) is None
    outputs = requested_outputs({"y": 3})
    assert outputs is not None
    message = outputs[0]._get_tensor()
    assert (message.name, message.parameters["classification"].int64_param) == ("y", 3)


def test_tensors_of_metadata_become_specs():
    message = service_pb2.ModelMetadataResponse.TensorMetadata(name="x", datatype="FP32", shape=[-1, 3])
    assert tensor_specs([message]) == (TensorSpec("x", "FP32", (-1, 3)),)


def test_statistics_are_averages_in_milliseconds_and_none_without_an_inference():
    message = service_pb2.ModelStatistics(name="m", version="2", inference_count=4, execution_count=2)
    row = model_statistics(message)
    assert (row.version, row.queue_ms, row.compute_ms, row.last_inference) == (2, None, None, None)
    message.last_inference = 1_700_000_000_000
    message.inference_stats.queue.ns, message.inference_stats.queue.count = 4_000_000, 2
    message.inference_stats.compute_input.ns = 1_000_000
    message.inference_stats.compute_infer.ns, message.inference_stats.compute_infer.count = 5_000_000, 2
    row = model_statistics(message)
    assert (row.queue_ms, row.compute_ms, row.last_inference) == (2.0, 3.0, "2023-11-14T22:13:20+00:00")


def test_triton_chooses_the_version_of_an_empty_text():
    assert (version_text(None), version_text(2)) == ("", "2")
