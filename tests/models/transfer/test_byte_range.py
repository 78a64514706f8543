"""Whether a connection is slow, or whoever reads from it."""

import time

from tritonops.models.disk.store import Store
from tritonops.models.http.address import Address
from tritonops.models.http.transport import Transport
from tritonops.models.transfer.byte_range import MIN_READ, Piece
from tritonops.models.transfer.file_download import Assembly
from tritonops.models.transfer.remote_file import RemoteFile

SIZE = 1 << 20


def wait_for(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_connection_whose_bytes_wait_to_be_read_is_not_slow(hub, tmp_path):
    hub.push("team/large", {"model.onnx": bytes(SIZE)})
    address = Address(f"{hub.endpoint}/team/large/resolve/main/model.onnx", None)
    piece = Piece(Assembly(RemoteFile("large", "model.onnx", SIZE, address, None), Store(tmp_path)), 0, SIZE)
    assert not piece.is_behind  # nothing was asked for yet

    transport = Transport(connections=1, stall_seconds=30, on_wait=lambda text: None)
    with transport.open(address, transport.retries("large"), {"Range": f"bytes=0-{SIZE - 1}"}) as response:
        piece.begin(response)
        assert piece.is_divisible
        wait_for(lambda: piece.is_behind)
        buffer = memoryview(bytearray(MIN_READ))
        while piece.at < SIZE:
            piece.advance(response.read_into(buffer), 1.0)
        assert not piece.is_behind
    assert response.waiting == 0  # it is closed
    transport.close()
