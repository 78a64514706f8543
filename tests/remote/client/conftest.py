from __future__ import annotations

import pytest

from tests.remote.client.repository import Repository


@pytest.fixture
def repository(tmp_path) -> Repository:
    return Repository(tmp_path / "checkout")
