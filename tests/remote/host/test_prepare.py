"""Pushed files that are verified, and models that are not listed."""

import hashlib
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from tests.onnx_models import affine, write_model
from tritonops.errors import PartialFailureError, TritonOpsError
from tritonops.models.check import check, require_servable
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store
from tritonops.project import Project
from tritonops.remote.host import prepare
from tritonops.remote.host.prepare import accept_pushed_files, remove_unlisted
from tritonops.remote.layout.paths import Layout


@pytest.fixture
def layout(tmp_path):
    made = Layout(tmp_path)
    made.incoming.mkdir(parents=True)
    return made


def test_a_pushed_file_is_moved_into_the_store(layout):
    sha256, lines = hashlib.sha256(b"weights").hexdigest(), list[str]()
    (layout.incoming / sha256).write_bytes(b"weights")
    (layout.incoming / f".{sha256}.partial").write_bytes(b"wei")
    accept_pushed_files(layout, on_step=lines.append)
    assert Store(layout.store_dir).has(sha256)
    assert not (layout.incoming / sha256).exists()
    assert lines == ["verify 1 pushed files"]


def test_a_damaged_one_is_deleted_and_named(layout):
    (layout.incoming / ("0" * 64)).write_bytes(b"weights")
    with pytest.raises(TritonOpsError, match="was damaged on its way") as caught:
        accept_pushed_files(layout, on_step=lambda line: None)
    assert "Deploy again" in str(caught.value.hint)
    assert list(layout.incoming.iterdir()) == []


def test_without_pushed_files_nothing_is_done(layout):
    accept_pushed_files(layout, on_step=pytest.fail)


def test_models_and_versions_that_are_not_listed_are_removed(tmp_path):
    for path in ("alpha/1", "alpha/2", "old/1"):
        (tmp_path / "triton" / path).mkdir(parents=True)
    version = SimpleNamespace(name="alpha", version=2)
    catalog: Any = SimpleNamespace(versions=[version], names=["alpha"])
    remove_unlisted(catalog, Repository(tmp_path / "triton"))
    left = sorted(str(path.relative_to(tmp_path / "triton")) for path in (tmp_path / "triton").rglob("*"))
    assert left == ["alpha", "alpha/2"]


@pytest.mark.parametrize(
    ("runtime", "name", "trials"),
    [("embedded", "the embedded Triton", "all"), ("compose", "nvcr.io/nvidia/tritonserver:26.07-py3", "none")],
)
def test_configs_are_judged_for_the_server_of_the_host_and_the_embedded_one_loads_each_graph(
    tmp_path, runtime, name, trials
):
    project = Project.load(tmp_path, environ={}, cwd=tmp_path)
    (tmp_path / "models.toml").write_text("")
    release: Any = SimpleNamespace(record=SimpleNamespace(runtime=runtime))
    checked = prepare._checked(project, release, "cpu")
    assert (checked.server.name, checked.trials, checked.variants) == (name, trials, ("cpu",))


def test_a_graph_that_onnx_runtime_does_not_load_stops_an_embedded_host_before_it_serves(tmp_path):
    node = helper.make_node("ImageDecoder", ["x"], ["y"])
    shapes: dict[str, list[str | int]] = {"x": ["n"], "y": ["h", "w", 3]}
    tensors = [helper.make_tensor_value_info(name, TensorProto.UINT8, shape) for name, shape in shapes.items()]
    graph = helper.make_graph([node], "g", tensors[:1], tensors[1:])
    home = tmp_path / "triton" / "pictures"
    (home / "1").mkdir(parents=True)
    opset = [helper.make_opsetid("", 20)]
    onnx.save_model(helper.make_model(graph, ir_version=8, opset_imports=opset), home / "1" / "model.onnx")
    (home / "config.pbtxt").write_text(
        'backend: "onnxruntime" input { name: "x" data_type: TYPE_UINT8 dims: [ -1 ] } '
        'output { name: "y" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } instance_group { kind: KIND_CPU }'
    )
    (tmp_path / "models.toml").write_text("")
    project = Project.load(tmp_path, environ={}, cwd=tmp_path)
    release: Any = SimpleNamespace(record=SimpleNamespace(runtime="embedded"))
    with pytest.raises(PartialFailureError, match=r"does not load .*Could not find an implementation for ImageDecoder"):
        require_servable(check(prepare._checked(project, release, "cpu")))


def test_a_graph_that_an_earlier_release_had_is_not_tried_again(tmp_path):
    (tmp_path / "models.toml").write_text("")
    release: Any = SimpleNamespace(record=SimpleNamespace(runtime="embedded"))

    def tried(name):
        models_dir = tmp_path / name / "triton"
        write_model(models_dir, "alpha", {1: affine(2, 1)})
        environ = {"TRITON_MODELS_DIR": str(models_dir), "TRITON_STORE_DIR": str(tmp_path / "shared")}
        project, begun = Project.load(tmp_path, environ=environ, cwd=tmp_path), list[Any]()
        require_servable(check(prepare._checked(project, release, "cpu"), on_trial=begun.append))
        return len(begun)

    assert [tried("r1"), tried("r2")] == [1, 0]
