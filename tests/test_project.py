"""One checkout, with the parts that use cases work on."""

import pytest

from tritonops.errors import CatalogError, InputError
from tritonops.project import Project

ENTRY = '[[models.clip]]\npath = "x.onnx"\ntriton_version = 1\n'


@pytest.fixture
def project(tmp_path):
    (tmp_path / "models.toml").write_text(ENTRY)
    environ = {"TRITON_IMAGE": "nvcr.io/nvidia/tritonserver:25.02-py3", "TRITON_URL": "127.0.0.1:1"}
    return Project.load(tmp_path, environ=environ)


def test_the_parts_are_those_of_the_settings(project, tmp_path):
    assert project.catalog.names == ("clip",)
    assert project.lock == {}
    assert project.repository.root == tmp_path / "triton"
    assert project.store.root == tmp_path / ".store"
    assert project.image.release == (25, 2)
    with project.connect() as client:
        assert client.url == "127.0.0.1:1"
    with project.connect("127.0.0.1:2") as client:
        assert client.url == "127.0.0.1:2"


def test_a_part_is_made_when_it_is_asked_for_and_then_kept(project, tmp_path):
    assert project.catalog is project.catalog
    (tmp_path / "models.toml").write_text("broken")
    assert project.catalog.names == ("clip",)
    with pytest.raises(CatalogError):
        Project.load(tmp_path, environ={}).catalog  # noqa: B018


def test_a_models_directory_that_is_one_level_off_is_refused(tmp_path):
    (tmp_path / "triton/clip/1").mkdir(parents=True)
    (tmp_path / "triton/clip/1/model.onnx").touch()
    wrong = Project.load(tmp_path, environ={"TRITON_MODELS_DIR": str(tmp_path / "triton/clip")})
    with pytest.raises(InputError, match="one level too deep"):
        wrong.repository  # noqa: B018


def test_the_env_file_of_the_project_counts_unless_it_is_left_out(tmp_path):
    (tmp_path / ".env").write_text("TRITON_URL=gpu:8001\n")
    assert Project.load(tmp_path, environ={}).settings.triton_url == "gpu:8001"
    assert Project.load(tmp_path, environ={}, env_file=False).settings.triton_url == "localhost:8001"
