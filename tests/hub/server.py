"""An HTTP server that speaks the Hugging Face Hub's protocol, on loopback, with a CDN of its own origin.

It answers what huggingface_hub asks of the Hub for a download: the model's info, its tree, paths-info, and resolve,
which redirects LFS files to a signed URL. As the real one does, it says X-Repo-Commit, X-Linked-Etag and
X-Linked-Size, and words errors in X-Error-Code. Link speed and latency can be set; faults come on demand.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.content import Access, HubFile, HubRepo
from tests.hub.faults import Fault, Faults

GOOD_TOKEN = "hf_granted"
OTHER_TOKEN = "hf_known_but_not_granted"


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    server: str
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class Link:
    """What every connection is limited to."""

    bytes_per_second: float | None = None
    latency: float = 0.0
    """One round trip, in seconds: paid by each connection and by each request."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, name: str, hub: Hub) -> None:
        self.name, self.hub = name, hub
        super().__init__((hub.address, hub.port if name == "hub" else 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what half of the tests are about."""


@dataclass
class Hub:
    """The Hub and its CDN, serving from `folder`."""

    folder: Path
    address: str = "127.0.0.1"
    """In a pod: the pod's."""
    port: int = 0
    """The Hub's; 0 for any."""
    link: Link = field(default_factory=Link)
    page_size: int = 1000
    repos: dict[str, HubRepo] = field(default_factory=dict)
    blobs: dict[str, HubFile] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    seen: list[Seen] = field(default_factory=list)
    body_bytes: int = 0
    signed_url_uses: int | None = None
    """How often a signed URL may be used before it has expired."""

    def __post_init__(self) -> None:
        self._guard = threading.Lock()
        self._numbers = itertools.count(1)
        self._signatures: dict[str, int] = {}
        self._ended = threading.Event()
        self._servers = [_Server("hub", self), _Server("cdn", self)]
        self.endpoint, self.cdn = (f"http://{self.address}:{server.server_address[1]}" for server in self._servers)
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def push(
        self,
        repo_id: str,
        files: Mapping[str, bytes | Path],
        *,
        small: Mapping[str, bytes] | None = None,
        access: Access = "public",
        branch: str = "main",
    ) -> str:
        """Commit these files, and no others, to a branch; `small` ones are kept in git, not in LFS."""
        commit = f"{next(self._numbers):040x}"
        repo = self.repos.setdefault(repo_id, HubRepo(repo_id))
        repo.access = access
        entries = [HubFile.of(path, self._stored(content), lfs=True) for path, content in files.items()]
        entries += [HubFile.of(path, self._stored(content), lfs=False) for path, content in (small or {}).items()]
        repo.commits[commit], repo.branches[branch] = entries, commit
        self.blobs |= {entry.sha256: entry for entry in entries}
        return commit

    def forget(self) -> None:
        """Forget the requests seen, the faults to come, and the link's limits."""
        self.faults.clear()
        self.seen.clear()
        self.body_bytes, self.signed_url_uses, self.link = 0, None, Link()

    def requests(self, where: str, *, method: str = "GET") -> list[Seen]:
        """List the requests seen whose path contains `where`."""
        return [seen for seen in list(self.seen) if where in seen.path and seen.method == method]

    def count(self, sent: int) -> None:
        with self._guard:
            self.body_bytes += sent

    def sign(self, file: HubFile) -> str:
        """Make a URL that is good for `signed_url_uses` requests."""
        signature = f"{next(self._numbers):x}"
        return f"{self.cdn}/cdn/{file.sha256}?X-Amz-Expires=3600&X-Amz-Signature={signature}"

    def accepts(self, signature: str) -> bool:
        """Whether a signed URL may be used once more."""
        with self._guard:
            self._signatures[signature] = used = self._signatures.get(signature, 0) + 1
        return self.signed_url_uses is None or used <= self.signed_url_uses

    def stall(self) -> None:
        """Say nothing more until the server ends."""
        self._ended.wait(60)

    def _stored(self, content: bytes | Path) -> Path:
        if isinstance(content, Path):
            return content
        path = self.folder / f"content-{next(self._numbers)}"
        path.write_bytes(content)
        return path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        time.sleep(self.hub.link.latency)

    @property
    def hub(self) -> Hub:
        return self.server.hub

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; `Hub.seen` has it."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._answer()

    def _answer(self) -> None:
        self.hub.seen.append(Seen(self.server.name, self.command, self.path, dict(self.headers)))
        time.sleep(self.hub.link.latency)
        fault = self.hub.faults.take(self.path, self._asked() or range(sys.maxsize)) if self.command == "GET" else None
        url = urlsplit(self.path)
        path = unquote(url.path)
        if fault and fault.kind == "status":
            self._send(fault.status, b"a fault", fault.headers)
        elif self.server.name == "cdn":
            self._cdn(path, parse_qs(url.query), fault)
        elif match := re.fullmatch(r"/api/models/(.+?)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?", path):
            self._api(match[1], match[2] or "revision", match[3] or "main", match[4] or "", parse_qs(url.query))
        elif match := re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[2], match[3], fault)
        else:
            self._send(404, b"no such page")

    def _asked(self) -> range | None:
        """Which bytes a request is for, where it says so."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        return range(int(found[1]), int(found[2]) + 1 if found[2] else sys.maxsize) if found else None

    def _refusal(self, repo: HubRepo | None) -> tuple[int, str] | None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        if token not in (None, GOOD_TOKEN, OTHER_TOKEN):
            return 401, "InvalidToken"
        if repo is None or (repo.access == "private" and token != GOOD_TOKEN):
            return (401 if token is None else 404), "RepoNotFound"
        if repo.access == "gated" and token != GOOD_TOKEN:
            return (401 if token is None else 403), "GatedRepo"
        return None

    def _repo_at(self, repo_id: str, revision: str, *, listing: bool = False) -> tuple[str, list[HubFile]] | None:
        """Find a repository's files at a revision, or answer why not. As the real Hub does, list a gated one."""
        repo = self.hub.repos.get(repo_id)
        refusal = self._refusal(repo)
        if refusal and not (listing and refusal[1] == "GatedRepo"):
            self._refuse(*refusal)
            return None
        assert repo is not None
        commit = repo.commit_of(revision)
        if commit is None:
            self._refuse(404, "RevisionNotFound")
            return None
        return commit, repo.commits[commit]

    def _refuse(self, status: int, code: str) -> None:
        words = {"InvalidToken": "Invalid credentials in Authorization header"}.get(code, code)
        error = {} if code == "InvalidToken" else {"X-Error-Code": code}
        self._send(status, json.dumps({"error": words}).encode(), {"X-Error-Message": words, **error})

    def _api(self, repo_id: str, what: str, revision: str, below: str, query: Mapping[str, list[str]]) -> None:
        found = self._repo_at(repo_id, revision, listing=True)
        if found is None:
            return
        commit, files = found
        if what == "revision":
            siblings = [file.sibling() if "blobs" in query else {"rfilename": file.path} for file in files]
            self._send_json({"id": repo_id, "modelId": repo_id, "sha": commit, "siblings": siblings})
        elif what == "tree":
            self._send_tree([file for file in files if file.path.startswith(f"{below}/") or not below], query)
        else:
            requested = parse_qs(self._body.decode())["paths"]
            self._send_json([file.tree_entry() for file in files if file.path in requested])

    def _send_tree(self, files: list[HubFile], query: Mapping[str, list[str]]) -> None:
        start = int(query.get("cursor", ["0"])[0])
        end = start + self.hub.page_size
        more = f"{self.hub.endpoint}{urlsplit(self.path).path}?recursive=true&cursor={end}"
        link = {"Link": f'<{more}>; rel="next"'} if end < len(files) else {}
        self._send_json([file.tree_entry() for file in files[start:end]], link)

    def _resolve(self, repo_id: str, revision: str, path: str, fault: Fault | None) -> None:
        found = self._repo_at(repo_id, revision)
        if found is None:
            return
        commit, files = found
        file = next((file for file in files if file.path == path), None)
        about = {"X-Repo-Commit": commit}
        if not (fault and fault.kind == "ignore-range"):
            about["Accept-Ranges"] = "bytes"
        if file is None:
            self._refuse(404, "EntryNotFound")
        elif file.lfs:
            about |= {"X-Linked-Size": str(file.size), "X-Linked-Etag": f'"{file.sha256}"'}
            self._send(302, b"Found. Redirecting", about | {"Location": self.hub.sign(file)})
        else:
            self._send_file(file, about | {"ETag": f'"{file.git_oid}"'}, fault)

    def _cdn(self, path: str, query: Mapping[str, list[str]], fault: Fault | None) -> None:
        file = self.hub.blobs.get(path.removeprefix("/cdn/"))
        if file is None:
            self._send(404, b"NoSuchKey")
        elif not self.hub.accepts(query.get("X-Amz-Signature", [""])[0]):
            self._send(403, b"Request has expired")
        else:
            etag = "another" if fault and fault.kind == "etag" else f"{file.sha256[:32]}-3"
            self._send_file(file, {"ETag": f'"{etag}"', "Accept-Ranges": "bytes"}, fault)

    def _send_json(self, value: object, headers: Mapping[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self._head(status, len(body), headers or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_file(self, file: HubFile, headers: Mapping[str, str], fault: Fault | None) -> None:
        kind = fault.kind if fault else None
        surplus = 1 if kind == "length" else 0
        asked = self._asked()
        if asked and kind != "ignore-range":
            start, end = asked.start, min(asked.stop, file.size)
            headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{file.size + surplus}"}
        else:
            start, end = 0, file.size
        self._head(206 if "Content-Range" in headers else 200, end - start + surplus, headers)
        if self.command != "HEAD":
            self._send_body(file, start, end, fault)

    def _send_body(self, file: HubFile, start: int, end: int, fault: Fault | None) -> None:
        if fault and fault.kind == "flip" and start <= fault.after < end:
            self._send_flipped(file, start, end, fault.after)
        elif fault and fault.kind in ("drop", "stall"):
            self._stream(file, start, min(end, start + fault.after))
            if fault.kind == "stall":
                self.hub.stall()
            self.close_connection = True
        else:
            slow = fault.after if fault and fault.kind == "slow" else None
            self._stream(file, start, end, slow)

    def _send_flipped(self, file: HubFile, start: int, end: int, which: int) -> None:
        self._stream(file, start, which)
        self.wfile.write(bytes([file.content.read_bytes()[which] ^ 1]))
        self.hub.count(1)
        self._stream(file, which + 1, end)

    def _stream(self, file: HubFile, start: int, end: int, slow: int | None = None) -> None:
        rate = slow or self.hub.link.bytes_per_second
        chunk = max(1, int(rate / 100)) if rate else 1 << 20
        began, first = time.monotonic(), start
        with file.content.open("rb", buffering=0) as content:
            while start < end:
                sent = os.sendfile(self.connection.fileno(), content.fileno(), start, min(chunk, end - start))
                if sent == 0:
                    raise ConnectionError(f"{file.content} is shorter than it was")
                start += sent
                self.hub.count(sent)
                if rate:
                    time.sleep(max(0.0, began + (start - first) / rate - time.monotonic()))
