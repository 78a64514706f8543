"""What `compose.build-cpu` builds from; the image itself is tested in containers."""

import pytest

from tests.paths import PROJECT
from tritonops.compose.build_cpu import CPU_IMAGE, ImageSource
from tritonops.compose.engine.docker import Docker

SOURCE = ImageSource.of(PROJECT)


def test_the_default_base_is_a_public_slim_python():
    assert SOURCE.default_base().startswith("python:3.12-slim")


def test_the_digest_changes_with_the_backend(tmp_path):
    backend = tmp_path / "model.py"
    backend.write_text("one")
    source = ImageSource(SOURCE.dockerfile, SOURCE.requirements, tmp_path)
    before = source.digest()
    backend.write_text("two")
    assert source.digest() != before


@pytest.mark.docker
def test_the_image_stays_small():
    size = Docker(PROJECT).output(["docker", "image", "inspect", "--format", "{{.Size}}", CPU_IMAGE])
    assert int(size) < 800_000_000
