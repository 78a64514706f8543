import sys

import pytest

from tritonops.errors import EmbeddedUnavailableError
from tritonops.server import installation
from tritonops.server.installation import Machine, fetch_libpython, find_installation, find_libpython, why_missing

FITS = {"system": "Linux", "architecture": "x86_64", "python": (3, 11), "glibc": (2, 36)}


@pytest.mark.parametrize(
    ("differs", "reason"),
    [
        ({"system": "Darwin", "architecture": "arm64", "glibc": ()}, "for Darwin on arm64, only for Linux on x86_64"),
        ({"architecture": "aarch64"}, "for Linux on aarch64"),
        ({"python": (3, 14)}, "for Python 3.14, only for 3.11 to 3.13"),
        ({"glibc": (2, 31)}, "needs glibc 2.35 or newer, and this system has glibc 2.31"),
        ({"glibc": ()}, "this system has another C library"),
        ({}, "the package nvidia-pytriton is missing"),
    ],
)
def test_a_machine_without_the_wheel_is_told_why(differs, reason):
    assert reason in why_missing(Machine(**FITS | differs))


@pytest.fixture
def bare_python(monkeypatch):
    """A Python whose shared library neither it nor the system has."""
    monkeypatch.setattr(installation, "_system_folders", list)
    return f"libpython{sys.version_info.major}.{sys.version_info.minor}"


def test_a_missing_libpython_is_fetched_once_and_said_in_one_line(bare_python, debian):
    library = debian.add(bare_python, f"usr/lib/x86_64-linux-gnu/{bare_python}.so.1.0")
    with pytest.raises(EmbeddedUnavailableError, match=r"needs libpython3\.\d+\.so") as raised:
        find_libpython()
    assert raised.value.hint == "`inv server.up` fetches it, without root."
    lines: list[str] = []
    fetch_libpython(lines.append)
    fetch_libpython(lines.append)
    assert find_libpython() == debian.packages / bare_python / library
    assert lines == [f"fetched {debian.packages / bare_python}"]


def test_the_name_that_ubuntu_gives_to_libpython_is_tried_too(bare_python, debian):
    debian.add(f"{bare_python}t64", f"usr/lib/x86_64-linux-gnu/{bare_python}.so.1.0")
    fetch_libpython(lambda line: None)
    assert find_libpython().exists()


def test_a_distribution_without_this_libpython_is_told_why_it_is_missing(bare_python, debian):
    with pytest.raises(EmbeddedUnavailableError, match=f"cannot fetch {bare_python}: "):
        fetch_libpython(pytest.fail)


def test_a_system_without_apt_is_not_told_to_use_it(bare_python, debian, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    fetch_libpython(pytest.fail)
    with pytest.raises(EmbeddedUnavailableError) as raised:
        find_libpython()
    assert raised.value.hint
    assert "compose.up --cpu" in raised.value.hint


def test_everything_that_the_installation_names_is_there(embedded_runtime):
    found = find_installation()
    for path in (found.executable, found.python_backend, found.stub, found.libraries, found.libpython):
        assert path.exists()
