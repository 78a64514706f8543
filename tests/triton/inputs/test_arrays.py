import ml_dtypes
import numpy as np
import pytest

from tritonops.triton.inputs.arrays import as_array, scalar_as_declared


def test_lists_of_different_lengths_make_no_tensor_of_strings():
    with pytest.raises(ValueError, match="expected lists of equal length"):
        as_array([["a"], ["b", "c"]], "BYTES")


@pytest.mark.parametrize("array", [np.array([1 + 2j]), np.array(["1"]), np.array(["2026-01-01"], "datetime64[D]")])
def test_an_array_of_what_is_no_real_number_is_refused(array):
    with pytest.raises(ValueError, match="expected numbers, not"):
        as_array(array, "FP32")


def test_bfloat16_comes_from_numbers_from_its_own_type_and_from_raw_bytes():
    expected = np.array([1, 2.5], ml_dtypes.bfloat16)
    for value in ([1, 2.5], expected.astype(np.float32), expected, expected.view("V2")):
        array = as_array(value, "BF16")
        assert (array.dtype, array.tobytes()) == (expected.dtype, expected.tobytes())


@pytest.mark.parametrize("declared", [(1,), (1, 1), (-1, 1), (-1, 1, 1)])
def test_one_value_is_a_scalar_where_each_declared_size_is_1_but_for_the_batch(declared):
    assert scalar_as_declared(np.array(5), declared).shape == (1,) * len(declared)


@pytest.mark.parametrize("declared", [(-1,), (3,), (1, -1), (-1, -1), (2, 1)])
def test_one_value_stays_what_it_is_where_more_may_be_meant(declared):
    assert scalar_as_declared(np.array(5), declared).shape == ()


def test_a_value_with_dimensions_keeps_them():
    assert scalar_as_declared(np.array([5]), (1, 1)).shape == (1,)
