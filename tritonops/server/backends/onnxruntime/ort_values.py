"""Arrays of the types that onnxruntime's Python API cannot convert, as its OrtValues and as Triton's tensors.

NumPy has no bfloat16: such an array has the bits of its elements as uint16. Copied next to model.py, with nothing of
tritonops to import.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

BFLOAT16 = "TYPE_BF16"
_ONNX_BFLOAT16, _ONNX_STRING = 16, 8
"""TensorProto.DataType in onnx.proto."""
_STRIDES_OFFSET = 32
"""DLTensor in dlpack.h: data, device, ndim, dtype and shape come before its strides."""
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def read_bfloat16(tensor: Any) -> Any:
    """Copy the bits of a bfloat16 tensor of a request."""
    shape = tuple(tensor.shape())
    if 0 in shape:
        return np.empty(shape, np.uint16)
    return _bits(onnxruntime.OrtValue.from_dlpack(tensor)).reshape(shape)


def bfloat16_tensor(name: str, bits: Any) -> Any:
    """Make a bfloat16 tensor of a response."""
    # Memory of its own: Triton reads a response after the run, and DLPack does not keep NumPy's alive.
    value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(bits.shape, _ONNX_BFLOAT16)
    ctypes.memmove(value.data_ptr(), bits.tobytes(), bits.nbytes)
    capsule = value.__dlpack__()
    if not bits.size:
        # The stub takes the strides of an empty tensor for those of one that is not contiguous. It needs none.
        ctypes.c_void_p.from_address(_capsule_pointer(capsule, b"dltensor") + _STRIDES_OFFSET).value = None
    return pb_utils.Tensor.from_dlpack(name, capsule)


def bfloat16_value(bits: Any) -> Any:
    """Make a bfloat16 OrtValue."""
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(np.asarray(bits, order="C"), _ONNX_BFLOAT16)


def to_value(array: Any) -> Any:
    """Make an OrtValue of an array that is not bfloat16."""
    return _string_value(array) if array.dtype == object else onnxruntime.OrtValue.ortvalue_from_numpy(array)


def to_array(value: Any) -> Any:
    """Read an OrtValue."""
    return _bits(value).reshape(value.shape()) if value.data_type() == "tensor(bfloat16)" else value.numpy()


def _bits(value: Any) -> Any:
    size = value.tensor_size_in_bytes()
    return np.frombuffer(ctypes.string_at(value.data_ptr(), size) if size else b"", np.uint16)


def _string_value(array: Any) -> Any:
    """Make an OrtValue of strings; the only way is to run a graph, here one whose output is a constant."""
    dims = b"".join(_number(1, size) for size in array.shape)
    strings = b"".join(_bytes(6, text.encode()) for text in array.ravel())
    constant = _bytes(5, dims + _number(2, _ONNX_STRING) + strings + _bytes(8, b"s"))
    output = _bytes(12, _bytes(1, b"s") + _bytes(2, _bytes(1, _number(1, _ONNX_STRING))))
    model = _number(1, 8) + _bytes(8, _number(2, 17)) + _bytes(7, _bytes(2, b"strings") + constant + output)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run_with_ort_values(["s"], {})[0]


def _number(field: int, value: int) -> bytes:
    """Write a field of a protobuf message, here of onnx.proto's."""
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])
