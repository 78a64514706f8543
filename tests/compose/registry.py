"""A registry of images that speaks as much of the protocol as a pull needs, or fails as registries do."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Registry(ThreadingHTTPServer):
    """One image under every name. `failure` is a status with its error, or "hang"."""

    daemon_threads = True

    def __init__(self, failure: tuple[int, str] | str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.failure = failure
        self.released = threading.Event()
        self.blobs: dict[str, bytes] = {}
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("hello"))
        layer = gzip.compress(tar.getvalue())
        diff = hashlib.sha256(tar.getvalue()).hexdigest()
        rootfs = {"type": "layers", "diff_ids": [f"sha256:{diff}"]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": self._add(config, "application/vnd.docker.container.image.v1+json"),
                "layers": [self._add(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
            }
        ).encode()
        self.digest = f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"

    @property
    def address(self) -> str:
        """The name that images have before the slash."""
        return f"127.0.0.1:{self.server_address[1]}"

    def _add(self, blob: bytes, media_type: str) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        self.blobs[digest] = blob
        return {"mediaType": media_type, "size": len(blob), "digest": digest}


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        if self.server.failure == "hang":
            self.server.released.wait(60)
        elif isinstance(self.server.failure, tuple):
            status, code = self.server.failure
            self._answer(
                json.dumps({"errors": [{"code": code, "message": f"{code} by the registry"}]}).encode(), status
            )
        elif "/manifests/" in self.path:
            self._answer(self.server.manifest, media_type=_MANIFEST)
        else:
            self._answer(self.server.blobs.get(self.path.rpartition("/")[2], b"{}"))

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, body: bytes, status: int = 200, media_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", self.server.digest)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(failure: tuple[int, str] | str | None = None) -> Iterator[Registry]:
    """Run a registry for the length of a block."""
    registry = Registry(failure)
    thread = threading.Thread(target=registry.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield registry
    finally:
        registry.released.set()
        registry.shutdown()
        registry.server_close()
        thread.join()
