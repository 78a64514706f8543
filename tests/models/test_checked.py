"""What a check looks at."""

from tests.onnx_models import affine, write_model
from tritonops.models.checked import Checked
from tritonops.project import Project


def test_models_of_models_toml_and_of_the_disk_are_checked_and_remembered_in_the_store(tmp_path):
    (tmp_path / "models.toml").write_text('[[models.declared]]\npath = "m.onnx"\ntriton_version = 1\n')
    write_model(tmp_path / "triton", "by_hand", {1: affine(2, 1)})
    environ = {"TRITON_STORE_DIR": str(tmp_path / "store")}
    checked = Checked.of(Project.load(tmp_path, environ=environ, cwd=tmp_path), variants=("cpu",))
    assert checked.names == ("declared", "by_hand")
    assert (checked.memory, checked.variants) == (tmp_path / "store", ("cpu",))
