"""What the exceptions of requests, urllib3 and http.client mean."""

import http.client
import socket
import ssl

import pytest
import requests
import urllib3

from tritonops.errors import AccessDeniedError, SourceError
from tritonops.models.http.address_with_token import Address
from tritonops.models.http.certificate_authorities import Authorities
from tritonops.models.http.errors import TransientError, refusal, translated
from tritonops.models.http.proxies import Proxy
from tritonops.models.http.route import Route

POOL = urllib3.HTTPConnectionPool("hub.example")
ADDRESS = Address("https://hub.example/x?X-Amz-Signature=abc")


def caused(outer, inner):
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "anything"), "connection refused"),
        (
            requests.ConnectionError(
                caused(urllib3.exceptions.NewConnectionError(POOL, "x"), ConnectionRefusedError(111, "x"))  # type: ignore[arg-type]
            ),
            "connection refused",
        ),
        (socket.gaierror(-2, "anything"), "the host name cannot be resolved"),
        (TimeoutError("anything"), "no answer in time"),
        (urllib3.exceptions.ReadTimeoutError(POOL, "/", "anything"), "no answer in time"),
        (urllib3.exceptions.ProtocolError("x", http.client.RemoteDisconnected("anything")), "connection lost"),
        (BrokenPipeError(32, "anything"), "connection lost"),
        (http.client.IncompleteRead(b"", 5), "connection lost"),
        (http.client.BadStatusLine("SSH-2.0"), "the answer is not HTTP"),
        (http.client.LineTooLong("header line"), "the answer has a header of more than 64 KiB"),
        (OSError(113, "No route to host"), "[Errno 113] No route to host"),
        (urllib3.exceptions.NewConnectionError(POOL, "No route to host"), "No route to host"),  # type: ignore[arg-type]
    ],
)
def test_a_failure_of_the_network_may_pass_and_is_told_by_its_type(error, words):
    meaning = translated(error)
    assert isinstance(meaning, TransientError)
    assert words in str(meaning)


def test_an_error_of_ours_is_left_alone():
    error = KeyError("x")
    assert translated(error) is error


def test_a_certificate_that_is_refused_is_final_and_says_what_it_was_checked_against():
    route = Route(POOL, is_absolute=False, proxy=None, authorities=Authorities("/ca.pem", None, "SSL_CERT_FILE"))
    refused = ssl.SSLCertVerificationError("self-signed")
    refused.verify_message = "self-signed"
    meaning = translated(urllib3.exceptions.SSLError(refused), route)
    assert isinstance(meaning, SourceError)
    assert "checked against /ca.pem, from SSL_CERT_FILE" in str(meaning)


def test_a_proxy_is_named():
    proxy = Proxy("http://alice:secret@proxy:1", "HTTP_PROXY")
    route = Route(POOL, is_absolute=True, proxy=proxy, authorities=Authorities())
    never_left = urllib3.exceptions.ProxyError("x", ConnectionRefusedError())
    assert str(translated(never_left, route)) == "the proxy http://***@proxy:1 of HTTP_PROXY failed: connection refused"
    assert str(translated(ConnectionResetError(), route)).startswith("through the proxy http://***@proxy:1")


@pytest.mark.parametrize(
    ("status", "headers", "token", "kind", "words", "hint"),
    [
        (404, {"X-Error-Code": "EntryNotFound"}, None, SourceError, "no such file", None),
        (404, {"X-Error-Message": "an odd one"}, None, SourceError, "an odd one", None),
        (410, {}, None, SourceError, "not to be had there", None),
        (401, {}, None, AccessDeniedError, "answered 401", "Set HF_TOKEN"),
        (403, {}, "hf_x", AccessDeniedError, "answered 403", "HF_TOKEN is set, but"),
        (403, {"X-Error-Code": "GatedRepo"}, None, AccessDeniedError, "answered 403", "accept its terms"),
    ],
)
def test_a_refusal_says_what_to_do_and_shows_no_signature(status, headers, token, kind, words, hint):
    error = refusal(status, headers, Address(ADDRESS.url, token))
    assert type(error) is kind
    assert words in str(error)
    assert "abc" not in str(error)
    assert hint is None or hint in str(error.hint)
