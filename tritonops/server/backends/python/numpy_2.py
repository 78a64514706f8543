"""Lets models of the Python backend use NumPy 2, imported by triton_python_backend_utils in each model's process.

Triton's stub was compiled for NumPy 1. It reads the size of an element where NumPy 2 keeps flags, and finds 0: every
element of an input is then a copy of the first, and an output has no bytes. Two changes correct that:

- An input: the stub asks NumPy's C API for an array with strides of 0. Our copy of the API's table passes no strides,
  so NumPy computes them.
- An output: `Tensor(name, array)` passes the array by DLPack, which knows no strings. Their bytes are an array of a
  data type of our own, with the size of an element where the stub looks for it until it has read it.
"""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType
from typing import Any

import c_python_backend_utils
import numpy as np
import triton_python_backend_utils as pb_utils

_API_SIZE = 283
"""The stub uses no function above PyArray_SetBaseObject, number 282."""
_NEW_FROM_DESCR = 94
_NewFromDescr = ctypes.PYFUNCTYPE(
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p),
    *(ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p),
)
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_rename_capsule = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_SetName", ctypes.pythonapi)
)
_USED = b"used_dltensor"
"""A capsule does not copy its name: this object has to live as long as the process."""
_BYTE = np.dtype("uint8", metadata={"tritonops": "not the data type of all bytes, but one of its own"})
_element_size = ctypes.c_uint32.from_address(id(_BYTE) + 32)
_StubTensor = c_python_backend_utils.Tensor
_serialize_strings = pb_utils.serialize_byte_tensor


class Tensor:
    """`triton_python_backend_utils.Tensor`: makes the stub's own tensors."""

    from_dlpack = _StubTensor.from_dlpack

    def __new__(cls, name: str, array: Any) -> Any:
        """Make a tensor of an array; one without elements has no bytes that could get lost."""
        if not array.size:
            return _StubTensor(name, array)
        if array.dtype.kind in "OSU":
            return _tensor_of_strings(name, array)
        if not array.flags.c_contiguous or not array.flags.writeable:
            array = array.copy(order="C")
        capsule = array.__dlpack__()
        tensor = _StubTensor.from_dlpack(name, capsule)
        # The stub owns the memory now, but marks the capsule with a name that NumPy does not know.
        _rename_capsule(capsule, _USED)
        return tensor


def _tensor_of_strings(name: str, array: Any) -> Any:
    try:
        return _StubTensor(name, array)
    finally:
        _element_size.value = 0


def _serialize(array: Any) -> Any:
    """What the stub calls to get the bytes of strings."""
    serialized = _serialize_strings(array)
    if not isinstance(serialized, bytes):
        return serialized
    serialized = np.frombuffer(serialized, _BYTE)
    _element_size.value = 1
    return serialized


def _new_from_descr(*arguments: Any) -> Any:
    subtype, descr, dimensions, shape, _strides, *rest = arguments
    return _call_numpy(subtype, descr, dimensions, shape, None, *rest)


def _with_computed_strides() -> ModuleType:
    """Build the module from which the stub takes NumPy's C API."""
    table = (ctypes.c_void_p * _API_SIZE)(*_numpy_api)
    table[_NEW_FROM_DESCR] = ctypes.cast(_callback, ctypes.c_void_p).value
    module = ModuleType("numpy.core.multiarray")
    vars(module).update(_ARRAY_API=_new_capsule(ctypes.addressof(table), None, None), table=table)
    return module


if int(np.__version__.partition(".")[0]) >= 2:
    from numpy._core import multiarray

    _numpy_api = (ctypes.c_void_p * _API_SIZE).from_address(_capsule_pointer(vars(multiarray)["_ARRAY_API"], None))
    _call_numpy = _NewFromDescr(_numpy_api[_NEW_FROM_DESCR] or 0)
    _callback = _NewFromDescr(_new_from_descr)
    sys.modules["numpy.core.multiarray"] = _with_computed_strides()
    c_python_backend_utils.Tensor = Tensor
    pb_utils.serialize_byte_tensor = _serialize
