"""A server that answers as an API server does where a test says so: for the words of the real kubectl about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.http_servers import serving

Answer = tuple[int, Any]
"""A status, and a document; a string is sent as text."""
CONTEXT, NAMESPACE = "tests", "triton"
_VERBS = ["create", "delete", "get", "list", "patch", "update"]
_DISCOVERY: dict[str, Answer] = {
    "/api": (200, {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
    "/apis": (200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}),
    "/api/v1": (
        200,
        {
            "kind": "APIResourceList",
            "groupVersion": "v1",
            "resources": [
                {"name": name, "singularName": "", "namespaced": name != "namespaces", "kind": kind, "verbs": _VERBS}
                for name, kind in (("pods", "Pod"), ("configmaps", "ConfigMap"), ("namespaces", "Namespace"))
            ],
        },
    ),
}


@dataclass
class ApiServer:
    """The requests of kubectl, and the answers to some of them."""

    answers: dict[str, Answer] = field(default_factory=dict)
    """By the beginning of a request: "GET /api/v1/namespaces/triton/pods"."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Each with its body."""
    url: str = ""

    def answer(self, request: str) -> Answer:
        """Give the answer to a request: that of the longest beginning."""
        found = [start for start in self.answers if request.startswith(start)]
        if found:
            return self.answers[max(found, key=len)]
        path = request.partition(" ")[2].partition("?")[0]
        return _DISCOVERY.get(path, (404, status(404, "NotFound", "the server could not find the requested resource")))


def status(code: int, reason: str, message: str) -> dict[str, Any]:
    """Write a failure as the API does."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


@contextmanager
def api_server(certificate: Path | None = None) -> Iterator[ApiServer]:
    """Serve on a free port of the loopback interface, with this certificate and key."""
    api = ApiServer()
    with serving(_handler(api), certificate) as address:
        api.url = f"{'https' if certificate else 'http'}://{address}"
        yield api


def write_kubeconfig(path: Path, url: str, user: dict[str, Any] | None = None) -> Path:
    """Write a configuration of kubectl with one context."""
    names = {"cluster": CONTEXT, "user": CONTEXT}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": {"server": url}}],
        "users": [{"name": CONTEXT, "user": {"token": "secret"} if user is None else user}],
        "contexts": [{"name": CONTEXT, "context": names}],
    }
    path.write_text(json.dumps(document))
    return path


def _handler(api: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            request = f"{self.command} {self.path}"
            api.requests.append((request, body))
            code, document = api.answer(request)
            data = (document if isinstance(document, str) else json.dumps(document)).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(document, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler
