"""Bodies: what has arrived unread, and documents within their limits."""

import time
import zlib

import pytest

from tritonops.errors import SourceError
from tritonops.models.http import response as module
from tritonops.models.http.address_with_token import Address
from tritonops.models.http.response import _decoder
from tritonops.models.http.transport import Transport

SIZE = 1 << 20


@pytest.fixture
def response(hub):
    hub.push("team/large", {"model.onnx": bytes(SIZE)})
    address = Address(f"{hub.endpoint}/team/large/resolve/main/model.onnx")
    transport = Transport(max_connections=1, stall_seconds=30, on_wait=lambda text: None, environ={})
    with transport.open(address, transport.retries("large"), {"Range": f"bytes=0-{SIZE - 1}"}) as opened:
        yield opened
    transport.close()


def wait_for(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_it_tells_what_waits_to_be_read_and_how_much_may(response):
    wait_for(lambda: response.unread_bytes > 1 << 16)
    assert response.receive_buffer >= response.unread_bytes
    buffer, received = memoryview(bytearray(1 << 16)), 0
    while received < SIZE:
        received += response.read_into(buffer)
    assert response.unread_bytes == 0
    response.close()
    assert (response.unread_bytes, response.receive_buffer) == (0, module.DEFAULT_RECEIVE_BUFFER)


def test_a_document_of_more_than_its_limit_is_refused(response, monkeypatch):
    monkeypatch.setattr(module, "MAX_DOCUMENT", SIZE - 1)
    with pytest.raises(SourceError, match="answered with more than"):
        list(response.chunks())


def test_a_document_is_given_in_chunks(response):
    assert sum(map(len, response.chunks())) == SIZE


@pytest.mark.parametrize("encoding", ["", "identity", "Identity"])
def test_what_is_not_encoded_is_given_as_it_is(encoding):
    assert list(_decoder(encoding)(b"text")) == [b"text"]


def test_gzip_is_expanded_a_little_at_a_time():
    compressor = zlib.compressobj(wbits=31)
    data = compressor.compress(bytes(1 << 20)) + compressor.flush()
    chunks = list(_decoder("gzip")(data))
    assert sum(map(len, chunks)) == 1 << 20
    assert max(map(len, chunks)) <= module.DOCUMENT_CHUNK


@pytest.mark.parametrize(("encoding", "reason"), [("br", "encoded as 'br'"), ("gzip", "called gzip, and is not")])
def test_another_encoding_is_refused(encoding, reason):
    with pytest.raises(SourceError, match=reason):
        list(_decoder(encoding)(b"text"))
