from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.remote.sshd import Fleet


@pytest.fixture
def fleet(tmp_path) -> Iterator[Fleet]:
    """OpenSSH servers: `fleet.add("gpu-01")` starts one. All end with the test."""
    made = Fleet(tmp_path)
    yield made
    made.stop()
