"""What an image asks of its base, before anything is fetched."""

import os
import subprocess

import pytest

from tests.paths import PROJECT
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.compose.engine.docker import Docker
from tritonops.compose.engine.python_base import BaseRequirements, default_base, make_readable, read_base
from tritonops.errors import ImagePullError, InputError, TritonOpsError

NEEDS = BaseRequirements("server", ("3.11", "3.12"), ("x86_64",))


def read(base):
    return read_base(Docker(PROJECT), base, NEEDS, print)


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


@pytest.mark.docker
def test_a_base_that_cannot_be_pulled_is_named_and_the_way_around_it():
    with pytest.raises(ImagePullError, match="localhost/no-such-base") as raised:
        read("localhost/no-such-base")
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
        read(pretender(answer.replace('"', '\\"')))


@pytest.mark.docker
def test_packages_are_fetched_for_the_python_of_the_base_and_a_failure_names_what_failed(tmp_path):
    base = read(CPU_IMAGE)
    assert base.python in NEEDS.pythons
    with pytest.raises(TritonOpsError, match=r"none\.txt could not be fetched: "):
        base.fetch_packages("false", tmp_path / "none.txt", tmp_path / "packages")


def test_a_dockerfile_without_a_base_is_named(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(InputError, match="Dockerfile names no BASE_IMAGE"):
        default_base(tmp_path / "Dockerfile")


def test_every_user_may_read_what_is_copied_and_run_what_its_owner_may(tmp_path):
    for name, mode in (("folder/file", 0o600), ("folder/program", 0o700)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=mode)
    (tmp_path / "folder").chmod(0o700)
    make_readable(tmp_path)
    paths = ("folder", "folder/file", "folder/program")
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in paths] == [0o755, 0o644, 0o755]
