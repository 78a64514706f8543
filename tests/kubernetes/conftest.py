"""Real containers for these tests: skipped without a Docker engine, failed where CI is set."""

from tests.compose.conftest import pytest_runtest_setup

__all__ = ["pytest_runtest_setup"]
