from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.conftest import pytest_runtest_setup  # noqa: F401 (skips or fails where Docker is missing)
from tests.remote.project import Site
from tests.remote.sshd import Fleet


@pytest.fixture
def fleet(tmp_path) -> Iterator[Fleet]:
    """OpenSSH servers: `fleet.add("gpu-01")` starts one. All end with the test."""
    made = Fleet(tmp_path)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    """A clone and one host, gpu-01, that serves alpha and beta of it: what the tests of a file share.

    A test leaves the host serving what the clone says, whatever that is by then.
    """
    with Site.at(tmp_path_factory.mktemp("site"), "gpu-01") as made:
        made.serve(alpha=1, beta=1)
        made.deploy()
        yield made
