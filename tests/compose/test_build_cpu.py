"""What `compose.build-cpu` asks of a base; the image itself is tested in containers."""

import os
import subprocess

import pytest

from tests.paths import PROJECT
from tritonops.compose import build_cpu
from tritonops.compose.build_cpu import CPU_IMAGE, ImageSource
from tritonops.compose.engine.docker import Docker
from tritonops.errors import ImagePullError, InputError

SOURCE = ImageSource.of(PROJECT)


def build(base, *, message=print):
    build_cpu.build(
        Docker(PROJECT), SOURCE, uv="uv-is-not-asked", watch=message, tag="localhost/not-built", base_image=base
    )


@pytest.fixture
def pretender():
    """An image whose python3 says what a test wants it to; its shell is that of the small image."""
    made = []

    def pretender(answer):
        name = f"localhost/pretender-{os.getpid()}"
        dockerfile = f"FROM {CPU_IMAGE}\nUSER 0\nRUN printf '#!/bin/sh\\necho %s\\n' '{answer}' >/usr/bin/python3\n"
        command = ["docker", "build", "--quiet", "--tag", name, "-"]
        subprocess.run(command, input=dockerfile, text=True, check=True, capture_output=True)
        made.append(name)
        return name

    yield pretender
    for name in made:
        Docker(PROJECT).output(["docker", "image", "rm", name])


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
def test_a_base_that_cannot_be_pulled_is_named_and_the_way_around_it():
    with pytest.raises(ImagePullError, match="localhost/no-such-base") as raised:
        build("localhost/no-such-base")
    assert "--base-image" in str(raised.value.hint)


@pytest.mark.docker
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ('["3.13.1", "x86_64", ["glibc", "2.41"]]', "has Python 3.13.1"),
        ('["3.12.1", "aarch64", ["glibc", "2.41"]]', "is for aarch64"),
        ('["3.12.1", "x86_64", ["glibc", "2.31"]]', "no glibc 2.35"),
        ('["3.12.1", "x86_64", ["", ""]]', "no glibc 2.35"),
    ],
)
def test_a_base_that_cannot_carry_the_server_is_refused_before_anything_is_fetched(pretender, answer, problem):
    with pytest.raises(InputError, match=problem):
        build(pretender(answer.replace('"', '\\"')))


@pytest.mark.docker
def test_the_image_stays_small():
    size = Docker(PROJECT).output(["docker", "image", "inspect", "--format", "{{.Size}}", CPU_IMAGE])
    assert int(size) < 800_000_000
