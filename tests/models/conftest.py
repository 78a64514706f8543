"""A project whose models come from the test Hub."""

import pytest

from tritonops.settings import load_settings


@pytest.fixture
def project(tmp_path, hub):
    """Settings of an empty project; `HF_ENDPOINT` is the test Hub."""
    folder = tmp_path / "project"
    folder.mkdir()
    return load_settings(folder, environ={"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "", "HF_HOME": "/nonexistent"})
