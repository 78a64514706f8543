import pytest

from tritonops.errors import EmbeddedUnavailableError
from tritonops.server.installation import Machine, find_installation, find_libpython, why_missing

FITS = {"system": "Linux", "architecture": "x86_64", "python": (3, 11), "glibc": (2, 36)}


@pytest.mark.parametrize(
    ("differs", "reason"),
    [
        ({"system": "Darwin", "architecture": "arm64", "glibc": ()}, "for Darwin on arm64, only for Linux on x86_64"),
        ({"architecture": "aarch64"}, "for Linux on aarch64"),
        ({"python": (3, 14)}, "for Python 3.14, only for 3.11 to 3.13"),
        ({"glibc": (2, 31)}, "wants glibc 2.35 or newer, and this system has glibc 2.31"),
        ({"glibc": ()}, "this system has another C library"),
        ({}, "the package nvidia-pytriton is missing"),
    ],
)
def test_a_machine_without_the_wheel_is_told_why(differs, reason):
    assert reason in why_missing(Machine(**FITS | differs))


def test_a_python_without_its_shared_library_is_told_what_to_install(tmp_path):
    with pytest.raises(EmbeddedUnavailableError, match=r"needs libpython3\.\d+\.so") as raised:
        find_libpython([tmp_path])
    assert raised.value.hint
    assert "apt install libpython3" in raised.value.hint


def test_everything_that_the_installation_names_is_there(embedded_runtime):
    found = find_installation()
    for path in (found.executable, found.python_backend, found.stub, found.libraries, found.libpython):
        assert path.exists()
