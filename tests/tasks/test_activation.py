"""The tasks that a client starts on a host."""

import subprocess
import sys

import pytest

from tests.paths import PROJECT

HIDDEN = ("remote.activate", "remote.prove")


def inv(*arguments):
    command = [sys.executable, "-P", str(PROJECT / "tasks/shared/program.py"), "--search-root", str(PROJECT)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=True).stdout


def test_they_are_not_listed():
    for words in (["--list"], ["--complete-words", "bash", "inv", "remote."]):
        listed = inv(*words)
        assert "remote.deploy" in listed
        assert not any(name in listed for name in HIDDEN)


@pytest.mark.parametrize("name", HIDDEN)
def test_they_are_found_by_their_names(name):
    assert inv("--help", name).startswith(f"Usage: inv {name}")


def test_the_options_that_clients_of_earlier_versions_send_are_known():
    shown = inv("--help", "remote.activate")
    assert all(option in shown for option in ("--by ", "--kind ", "--prune-models"))
