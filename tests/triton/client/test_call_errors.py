"""tritonclient's single exception, split into the errors that callers tell apart."""

import http.server
import threading

import pytest
from tritonclient.utils import InferenceServerException

from tritonops.errors import (
    DecoupledModelError,
    NotServedError,
    TokenRefusedError,
    TritonError,
    TritonTimeoutError,
    TritonUnreachableError,
)
from tritonops.triton.client.call_errors import translate

REFUSED = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Connection refused"


def translated(message, status="StatusCode.INTERNAL", *, url="gpu-01", is_running=True):
    exc = InferenceServerException(message, status)
    return translate(exc, url, timeout=3, token_sent=False, is_running=lambda: is_running)


@pytest.mark.parametrize(
    ("message", "status", "kind", "text"),
    [
        ("This protocol is restricted", "StatusCode.UNAVAILABLE", TokenRefusedError, "gpu-01"),
        ("model has decoupled transaction policy", "StatusCode.UNIMPLEMENTED", DecoupledModelError, "decoupled"),
        ("Exceeds maximum queue size", "StatusCode.UNAVAILABLE", TritonError, "Exceeds maximum queue size"),
        ("Deadline Exceeded", "StatusCode.DEADLINE_EXCEEDED", TritonTimeoutError, "did not answer within 3 s"),
        ("no such model", "StatusCode.NOT_FOUND", NotServedError, "no such model"),
        ("requested model 'x' is not available", "StatusCode.UNAVAILABLE", NotServedError, "'x' is not available"),
        ("out of memory", "StatusCode.INTERNAL", TritonError, "Triton at gpu-01: out of memory"),
    ],
)
def test_the_answer_of_a_running_server_decides(message, status, kind, text):
    error = translated(message, status)
    assert type(error) is kind
    assert text in str(error)


@pytest.mark.parametrize(
    ("message", "status", "text"),
    [
        (REFUSED, "StatusCode.UNAVAILABLE", "Connection refused"),
        ("Deadline Exceeded", "StatusCode.DEADLINE_EXCEEDED", "no answer within 3 s"),
    ],
)
def test_a_server_that_does_not_answer_is_unreachable_for_the_innermost_reason(message, status, text):
    error = translated(message, status, is_running=False)
    assert type(error) is TritonUnreachableError
    assert text in str(error)


def test_an_http_server_on_the_grpc_port_is_recognized():
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"127.0.0.1:{server.server_port}"
        error = translated(REFUSED, "StatusCode.UNAVAILABLE", url=url, is_running=False)
    assert "HTTP" in f"{error} {error.hint}"
