"""A project whose models come from the test Hub."""

import pytest

from tests.models.additions import CATALOG
from tests.onnx_models import affine
from tritonops.settings import load_settings


@pytest.fixture
def process_environ(hub):
    """The environment of the process as `project` has it; a test adds variables."""
    return {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "", "HF_HOME": "/nonexistent"}


@pytest.fixture
def project(tmp_path, process_environ):
    """Settings of an empty project; `HF_ENDPOINT` is the test Hub."""
    folder = tmp_path / "project"
    folder.mkdir()
    return load_settings(folder, environ=process_environ)


@pytest.fixture
def house(project):
    """A project with a catalogue that has no models yet."""
    project.models_toml.write_text(CATALOG)
    return project


@pytest.fixture
def clip(hub):
    """Put a model on the Hub; gives its commit."""
    hub.push("team/clip", {"weights/model.onnx": affine(2.0).SerializeToString(), "README.md": b"hello"})
