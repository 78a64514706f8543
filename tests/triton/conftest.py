import pytest

from tritonops.triton.client import connect
from tritonops.triton.disk import Disk


@pytest.fixture
def client(triton):
    with connect(triton.grpc_url) as client:
        yield client


@pytest.fixture
def disk(triton):
    return Disk.of(triton.models_dir, triton.grpc_url)
