import pytest

from tritonops.errors import InputError
from tritonops.models.disk.misplaced import refuse_misplaced


def write(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")


MODEL = "triton/clip/config.pbtxt", "triton/clip/1/model.onnx"


@pytest.mark.parametrize("paths", [MODEL, MODEL[:1], MODEL[1:]], ids=["config, version", "config", "version"])
def test_the_folder_of_one_model_is_one_level_too_deep(tmp_path, paths):
    write(tmp_path, *paths)
    with pytest.raises(InputError, match="TRITON_MODELS_DIR is one level too deep") as caught:
        refuse_misplaced(tmp_path / "triton/clip")
    assert caught.value.hint == f"Set it to {tmp_path / 'triton'}"
    refuse_misplaced(tmp_path / "triton")


@pytest.mark.parametrize("paths", [MODEL, MODEL[:1], MODEL[1:]], ids=["config, version", "config", "version"])
def test_the_folder_above_that_of_the_models_is_one_level_too_high(tmp_path, paths):
    write(tmp_path, *paths, "triton-disabled/other/config.pbtxt", ".store/blob", "docs/readme.md")
    with pytest.raises(
        InputError, match=r"TRITON_MODELS_DIR is one level too high: .* its folder triton has"
    ) as caught:
        refuse_misplaced(tmp_path)
    assert caught.value.hint == f"Set it to {tmp_path / 'triton'}"


@pytest.mark.parametrize(
    "paths",
    [
        ("2024/config.pbtxt", "2024/1/model.onnx"),  # a model whose name is a number
        ("a/1/model.onnx", "2/1/model.onnx"),
        ("a/config.pbtxt", "a/b/c/config.pbtxt"),  # a folder in a model that looks like one
        ("a/notes.txt",),
        ("lost+found/x",),
        (),
    ],
    ids=str,
)
def test_any_other_folder_is_taken_for_what_it_is_said_to_be(tmp_path, paths):
    write(tmp_path / "triton", *paths)
    refuse_misplaced(tmp_path / "triton")
