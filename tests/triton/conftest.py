import pytest

from tritonops.triton.client.client import connect
from tritonops.triton.disk.served_folder import ServedFolder


@pytest.fixture
def client(triton):
    with connect(triton.grpc_url) as client:
        yield client


@pytest.fixture
def disk(triton):
    return ServedFolder.of(triton.models_dir, triton.grpc_url)
