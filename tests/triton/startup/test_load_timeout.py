"""The time that a load has."""

from tests.onnx_models import write_model
from tritonops.triton.startup.load_timeout import load_timeout


def test_large_files_have_more_time(tmp_path):
    folder = write_model(tmp_path / "triton", "m")
    assert load_timeout(folder) == 60
    with (folder / "1" / "weights").open("wb") as weights:
        weights.truncate(4_000_000_000)
    assert load_timeout(folder) > 199
