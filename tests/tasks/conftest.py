from pathlib import Path

import pytest
from invoke import Config, FilesystemLoader, Program

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def inv(capfd):
    """Run a command line of the project, and give its exit code, stdout and stderr."""
    module, _ = FilesystemLoader(start=str(PROJECT), config=Config()).load("tasks")

    def run(*arguments):
        try:
            Program(namespace=module.ns, binary="inv").run(["inv", *arguments])
        except SystemExit as ended:
            return ended.code, *capfd.readouterr()
        return 0, *capfd.readouterr()

    return run
