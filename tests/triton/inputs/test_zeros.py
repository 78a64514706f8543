import numpy as np
import pytest

from tritonops.errors import InputError
from tritonops.triton.client.api_types import ModelMetadata, TensorSpec
from tritonops.triton.inputs.zeros import describe_zeros, how_to_give_sizes, parse_shapes, zeros

METADATA = ModelMetadata("clip", (1,), (TensorSpec("pixels", "UINT8", (-1, 2)), TensorSpec("a=b", "BYTES", (1,))), ())


def test_zeros_have_the_declared_shape_and_one_where_it_varies():
    tensors = zeros(METADATA)
    assert {name: array.tolist() for name, array in tensors.items()} == {"pixels": [[0, 0]], "a=b": [b""]}
    assert [array.dtype for array in tensors.values()] == [np.uint8, object]
    given = "zeros and empty strings for pixels UINT8 [1, 2] (declared [-1, 2]), a=b BYTES [1]"
    assert describe_zeros(METADATA, tensors) == given


@pytest.mark.parametrize("size", [0, 3])
def test_zeros_have_the_sizes_that_are_given(size):
    shapes = parse_shapes([f"pixels={size},2", "a=b=1"])
    assert shapes == {"pixels": (size, 2), "a=b": (1,)}
    assert zeros(METADATA, shapes)["pixels"].shape == (size, 2)


@pytest.mark.parametrize("text", ["pixels", "=1", "pixels=-1,2", "pixels=1,a", "pixels=1,", "pixels=1 2", "pixels=²"])
def test_a_shape_that_is_no_list_of_sizes_is_refused(text):
    with pytest.raises(InputError, match="expected NAME=SIZES, such as x=1,512, got"):
        parse_shapes([text])


def test_a_scalar_needs_no_sizes():
    with pytest.raises(InputError) as caught:
        parse_shapes(["x="])
    assert caught.value.hint == "A scalar needs no --shape: its sizes are declared, and all 1."


def test_an_input_has_one_shape():
    with pytest.raises(InputError, match="--shape: 'x' was given twice"):
        parse_shapes(["x=1", "x=2"])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"pixel": (1, 2)}, "clip has no input 'pixel'"),
        ({"pixels": (2,)}, r"--shape pixels=2: clip takes pixels UINT8 \[-1, 2\], 2 sizes"),
        ({"pixels": (1, 3)}, r"--shape pixels=1,3: clip takes pixels UINT8 \[-1, 2\], whose sizes are \[any, 2\]"),
        ({"pixels": (2**30, 2)}, r"zeros for pixels \[1073741824, 2\], a=b \[1\] have 2,147,483,652 bytes"),
    ],
)
def test_a_shape_that_the_model_does_not_take_is_refused(shape, message):
    with pytest.raises(InputError, match=message):
        zeros(METADATA, shape)


def test_a_mistyped_input_is_suggested():
    with pytest.raises(InputError) as caught:
        zeros(METADATA, {"pixle": (1, 2)})
    assert caught.value.hint == "Did you mean 'pixels'?"


def test_the_option_is_named_for_sizes_that_were_made_up_and_only_for_those():
    assert how_to_give_sizes(METADATA) == "--shape pixels=N,2 gives sizes, which were 1; --input FILE gives values."
    assert how_to_give_sizes(METADATA, {"pixels": (3, 2)}) == "--input FILE gives values."
    quoted = ModelMetadata("clip", (1,), (TensorSpec("a b", "FP32", (-1,)),), ())
    assert how_to_give_sizes(quoted).startswith("--shape 'a b=N' gives sizes")


def test_what_was_made_up_is_one_line_whatever_the_names_and_however_many():
    specs = (TensorSpec("a\nb", "FP32", (1,)), *(TensorSpec(f"x{i}", "FP32", (1,)) for i in range(11)))
    metadata = ModelMetadata("wide", (1,), specs, ())
    line = describe_zeros(metadata, zeros(metadata))
    assert "\n" not in line
    assert line.endswith("x8 FP32 [1] … and 2 more")
