"""One HTTP request: its answer, whole, or an error."""

import socket
import threading
from contextlib import contextmanager

import pytest

from tritonops.triton.client.http_request import post


@contextmanager
def answering(folder, answer, *, parts=1):
    """A server that answers one request with these bytes, in several parts, and keeps the connection open or not."""
    seen = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "http"))
        server.listen()

        def serve():
            connection, _ = server.accept()
            with connection:
                seen.append(connection.recv(1 << 16))
                step = max(1, len(answer) // parts)
                for start in range(0, len(answer), step):
                    connection.sendall(answer[start : start + step])

        thread = threading.Thread(target=serve)
        thread.start()
        yield folder / "http", seen
        thread.join()


@pytest.mark.parametrize("parts", [1, 7, 1000])
@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK", b"HTTP/1.1 200 OK\r\ncontent-length:  5"])
def test_an_answer_is_read_to_its_length_or_to_the_end(tmp_path, head, parts):
    with answering(tmp_path, head + b"\r\nServer: x\r\n\r\n\r\n\r\nb", parts=parts) as (path, seen):
        assert post(path, "/v2/x", b"{}", headers={"triton-token": "secret"}) == (200, b"\r\n\r\nb")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /v2/x HTTP/1.0"
    assert {b"Content-Length: 2", b"triton-token: secret"} <= {*head.split(b"\r\n")}
    assert body == b"{}"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ConnectionResetError),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ValueError),
        (b"HTTP/1.1 99 no\r\n\r\n", ValueError),
        (b"HTTP/1.1 200 OK\r\nServer: x", ValueError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]", ConnectionResetError),
    ],
)
def test_what_is_no_whole_answer_is_an_error(tmp_path, answer, error):
    with answering(tmp_path, answer) as (path, _), pytest.raises(error):
        post(path, "/", b"")


def test_nobody_who_listens_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        post(tmp_path / "http", "/", b"")
