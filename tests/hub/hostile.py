"""Hubs that are hostile or broken, one for each way: what a server on the other end of a socket can send.

Each has one model, `team/hostile`, whose folder `onnx` has one file; a case replaces the answer to the listing or the
one to the file. An answer is bytes to send and seconds to wait in between; then the connection ends.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
GIT_OID = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
COMMIT = "c0ffee" * 6 + "c0de"
PATH = "onnx/model.onnx"
TRICKS = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e\u200b\r\nfaked: line"

Answer = Iterable[bytes | float]


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    path: str
    head: str
    endpoint: str
    number: int
    """Of the requests to this Hub, from 1."""


@dataclass(frozen=True)
class Case:
    """A Hub; None stands for the honest answer."""

    listing: Callable[[Request], Answer] | None = None
    file: Callable[[Request], Answer] | None = None
    can_succeed: bool = False


def http(status: str, body: bytes = b"", *headers: str, length: str | None = "") -> bytes:
    """Word an answer; without a length where it is None."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if length is not None:
        lines.append(f"Content-Length: {length or len(body)}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", errors="replace") + body


def sibling(path: object = PATH, **values: object) -> dict[str, object]:
    lfs = {"sha256": SHA256, "size": len(CONTENT), "pointerSize": 130}
    return {"rfilename": path, "size": len(CONTENT), "blobId": GIT_OID, "lfs": lfs} | values


def lfs(**values: object) -> dict[str, object]:
    return sibling(lfs={"sha256": SHA256, "size": len(CONTENT), "pointerSize": 130} | values)


def small(path: str = PATH, **values: object) -> dict[str, object]:
    entry = sibling(path, **values)
    del entry["lfs"]
    return entry


def listing(*siblings: object, **values: object) -> bytes:
    document = {"id": "team/hostile", "sha": COMMIT, "siblings": list(siblings) or [sibling()]} | values
    return json.dumps(document).encode()


def says(body: bytes | Callable[[], bytes], *headers: str) -> Case:
    """A Hub whose listing has this body; large ones are made when they are asked for."""
    return Case(lambda request: [http("200 OK", body if isinstance(body, bytes) else body(), *headers)])


def lists(*siblings: object, **values: object) -> Case:
    """A Hub whose listing has these entries."""
    return says(listing(*siblings, **values))


def answers(raw: bytes, *, can_succeed: bool = False) -> Case:
    """A Hub that answers each request for the file with these bytes."""
    return Case(file=lambda request: [raw], can_succeed=can_succeed)


def drips(data: bytes, seconds: float = 0.2) -> Answer:
    for byte in data:
        yield bytes([byte])
        yield seconds


def endless(*parts: bytes) -> Answer:
    yield from parts[:-1]
    yield from itertools.repeat(parts[-1] * (65536 // len(parts[-1])))


def redirects(location: str, *headers: str, status: str = "302 Found") -> Case:
    return Case(file=lambda request: [http(status, b"", f"Location: {location}", *headers)])


def cut(raw: bytes, at: int) -> Case:
    return Case(file=lambda request: [raw[:at]])


def ranged(request: Request) -> bytes:
    """The honest answer to a request for a range, or for the whole file."""
    for line in request.head.splitlines():
        if line.lower().startswith("range: bytes="):
            first, _, last = line[13:].partition("-")
            body = CONTENT[int(first) : int(last) + 1]
            return http("206 Partial", body, f"Content-Range: bytes {first}-{last}/{len(CONTENT)}")
    return http("200 OK", CONTENT)


def chunked(*parts: bytes) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    return [head, *parts]


def _many(count: int, path: str) -> bytes:
    entries = b",".join(b'{"rfilename":"' + (path % number).encode() + b'"}' for number in range(count))
    return b'{"sha":"' + COMMIT.encode() + b'","siblings":[' + entries + b"]}"


def _cut_then_whole(request: Request) -> Answer:
    body = listing()
    if request.number == 1:
        return chunked(b"%x\r\n" % len(body), body[:20])
    return [http("200 OK", body)]


def _loop(request: Request) -> Answer:
    return [http("302 Found", b"", f"Location: {request.endpoint}/resolve/again{request.number}")]


HEAD = b"HTTP/1.1 200 OK\r\n"
DEEP = b"[" * 200_000 + b"]" * 200_000
WHOLE = http("200 OK", CONTENT)

CASES: dict[str, Case] = {
    # Sizes.
    "size-negative": lists(lfs(size=-5)),
    "size-negative-small": lists(small(size=-5)),
    "size-huge": lists(lfs(size=10**30)),
    "size-of-a-petabyte": lists(lfs(size=1 << 49)),
    "size-float": lists(lfs(size=7000.0)),
    "size-infinite": says(listing(lfs(size=-77)).replace(b"-77", b"1e999")),
    "size-bool": lists(lfs(size=True)),
    "size-string": lists(lfs(size="7000")),
    "size-superscript": lists(lfs(size="²")),
    "size-null": lists(lfs(size=None)),
    "size-list": lists(lfs(size=[7000])),
    "size-of-5000-digits": says(listing(lfs(size=-77)).replace(b"-77", b"9" * 5000)),
    "size-zero": lists(lfs(size=0)),
    "size-nan": says(listing(lfs(size=-77)).replace(b"-77", b"NaN")),
    "size-larger-than-the-file": lists(lfs(size=70_000)),
    "size-smaller-than-the-file": lists(lfs(size=70)),
    # The rest of an entry.
    "sha256-wrong": lists(lfs(sha256="0" * 64)),
    "sha256-upper-case": lists(lfs(sha256=SHA256.upper())),
    "sha256-path": lists(lfs(sha256="../" * 20 + "evil")),
    "sha256-number": lists(lfs(sha256=1)),
    "sha256-newline": lists(lfs(sha256=SHA256 + "\n")),
    "blob-id-wrong": lists(small(blobId="0" * 40)),
    "blob-id-arabic-digits": lists(small(blobId="٣" * 40)),
    "lfs-not-an-object": lists(sibling(lfs=[1])),
    "lfs-empty": lists(sibling(lfs={})),
    "entry-not-an-object": lists("onnx/model.onnx"),
    "entry-null": lists(None),
    "entry-with-a-key-twice": says(listing().replace(b'"rfilename"', b'"rfilename": "onnx/a", "rfilename"')),
    # Names.
    "name-parent": lists(sibling(), sibling("onnx/../../../escaped")),
    "name-absolute": lists(sibling(), sibling("/tmp/escaped")),
    "name-backslash": lists(sibling(), sibling("onnx\\..\\..\\escaped")),
    "name-nul": lists(sibling(), sibling("onnx/a\0b")),
    "name-newline": lists(sibling(), sibling("onnx/a\nb")),
    "name-escape-sequence": lists(sibling(), sibling(f"onnx/{TRICKS}")),
    "name-long": lists(sibling(), sibling("onnx/" + "x" * 10_000)),
    "name-long-in-bytes": lists(sibling(), sibling("onnx/" + "漢" * 100)),
    "name-lone-surrogate": lists(sibling(), sibling("onnx/\ud800")),
    "name-empty": lists(sibling(), sibling("")),
    "name-number": lists(sibling(), sibling(7)),
    "name-twice": lists(sibling(), sibling()),
    "name-other-case": lists(sibling(), sibling("onnx/MODEL.onnx")),
    "name-other-unicode-form": lists(sibling("onnx/é"), sibling("onnx/e\u0301")),
    "name-file-and-folder": lists(sibling(), sibling(PATH + "/inner")),
    # The commit and the document around.
    "commit-control-characters": lists(sha="\x1b[31m\n\x7f" + COMMIT),
    "commit-short": lists(sha="c0ffee"),
    "commit-path": lists(sha="../../escaped"),
    "commit-null": lists(sha=None),
    "commit-number": lists(sha=10**39),
    "commit-missing": says(json.dumps({"siblings": [sibling()]}).encode()),
    "commit-twice": says(listing()[:-1] + b', "sha": "' + b"0" * 40 + b'"}'),
    "siblings-missing": says(json.dumps({"sha": COMMIT}).encode()),
    "siblings-object": says(json.dumps({"sha": COMMIT, "siblings": {"a": 1}}).encode()),
    "siblings-null": says(json.dumps({"sha": COMMIT, "siblings": None}).encode()),
    "siblings-a-million": says(lambda: _many(1_000_000, "onnx/f%d")),
    "siblings-a-million-elsewhere": says(lambda: _many(1_000_000, "x/f%d")),
    "json-deep": says(DEEP),
    "json-deep-in-a-member": says(b'{"x":' + DEEP + b"}"),
    "json-deep-in-an-entry": says(b'{"siblings":[' + DEEP + b"]}"),
    "json-bom": says(b"\xef\xbb\xbf" + listing()),
    "json-utf-16": says(listing().decode().encode("utf-16")),
    "json-not-utf-8": says(listing().replace(b"hostile", b"\xff\xfe")),
    "json-nul": says(listing() + b"\0"),
    "json-two-documents": says(listing() * 2),
    "json-a-string": says(b'"listing"'),
    "json-cut": says(listing()[:50]),
    "json-empty": says(b""),
    "json-html": says(b"<html>" + TRICKS.encode() + b"</html>"),
    "json-many-empty-lists": says(lambda: b'{"x":[' + b"[]," * 20_000_000 + b"[]]}"),
    "json-one-long-string": says(lambda: b'{"x":"' + "😀".encode() * 15_000_000 + b'"}'),
    "json-many-members": says(lambda: b"{" + b'"a":1,' * 10_000_000 + b'"a":1}'),
    # How it arrives.
    "listing-endless": Case(lambda r: endless(HEAD + b"\r\n", b'{"sha":"' + COMMIT.encode() + b'","siblings":[', b" ")),
    "listing-endless-chunks": Case(lambda r: endless(*chunked(b"5\r\n     \r\n"))),
    "listing-endless-entries": Case(lambda r: endless(HEAD + b'\r\n{"siblings":[', b'{"rfilename":"a"},')),
    "listing-dripped": Case(lambda r: drips(http("200 OK", listing() * 100))),
    "listing-body-dripped": Case(lambda r: itertools.chain([http("200 OK", length="9999")], drips(listing() * 10))),
    "listing-headers-endless": Case(lambda r: endless(HEAD, b"X-A: b\r\n")),
    "listing-silent": Case(lambda r: [3600.0]),
    "listing-cut-in-a-chunk-once": Case(_cut_then_whole, can_succeed=True),
    "listing-cut-in-a-chunk": Case(lambda r: chunked(b"%x\r\n" % 5000, listing())),
    "listing-gzip": Case(
        lambda r: [http("200 OK", gzip.compress(listing()), "Content-Encoding: gzip")], can_succeed=True
    ),
    "listing-gzip-bomb": says(lambda: gzip.compress(bytes(300_000_000)), "Content-Encoding: gzip"),
    "listing-gzip-bomb-of-a-listing": says(lambda: gzip.compress(_many(3_000_000, "f%d")), "Content-Encoding: gzip"),
    "listing-gzip-garbage": says(listing(), "Content-Encoding: gzip"),
    "listing-brotli": says(listing(), "Content-Encoding: br"),
    "listing-429-for-ever": Case(lambda r: [http("429 Slow down", b"", "Retry-After: 1")]),
    "listing-429-without-end": Case(lambda r: [http("429 Slow down", b"", "Retry-After: " + "9" * 400)]),
    "listing-429-for-an-hour": Case(lambda r: [http("429 Slow down", b"", "Retry-After: 3600")]),
    "listing-429-superscript": Case(lambda r: [http("429 Slow down", b"", "Retry-After: \xb2")]),
    "listing-429-negative": Case(lambda r: [http("429 Slow down", b"", "Retry-After: -1")]),
    "listing-429-nan": Case(lambda r: [http("429 Slow down", b"", "Retry-After: nan")]),
    "listing-429-date-overflow": Case(lambda r: [http("503 Busy", b"", "Retry-After: Fri, 31 Dec 99999 23:59:59 GMT")]),
    "listing-error-of-60000-characters": Case(
        lambda r: [http("404 " + "x" * 60_000, b"<h1>" * 15_000, "X-Error-Message: " + "\x1b[31my" * 7_000)]
    ),
    "listing-error-tricks": Case(lambda r: [http("400 Bad", b"", "X-Error-Message: a\x1b[2J\x9b31m\x85\x00b")]),
    "listing-204": Case(lambda r: [http("204 Nothing", length=None)]),
    "listing-redirect-to-itself": Case(lambda r: [http("302 Found", b"", f"Location: {r.path}")]),
    # Status lines and headers of the file.
    "http-0.9": answers(CONTENT),
    "http-garbage": answers(bytes(range(256)) * 100),
    "http-empty": answers(b""),
    "http-tls-alert": answers(b"\x15\x03\x01\x00\x02\x02\x46"),
    "http-ssh-banner": answers(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "http-status-line-of-a-megabyte": answers(b"HTTP/1.1 200 " + b"x" * (1 << 20)),
    "http-status-not-a-number": answers(b"HTTP/1.1 2\xb20 OK\r\n\r\n"),
    "http-status-999": answers(http("999 Odd")),
    "http-100-flood": Case(file=lambda r: endless(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "http-103-flood": Case(file=lambda r: endless(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n")),
    "http-103-then-the-file": answers(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + WHOLE, can_succeed=True),
    "http-101": answers(http("101 Switching", length=None)),
    "http-204": answers(http("204 Nothing", length=None)),
    "http-205": answers(http("205 Reset")),
    "http-304": answers(http("304 Not modified", length=None)),
    "http-300-without-location": answers(http("300 Choices", b"a b c")),
    "http-302-without-location": answers(http("302 Found")),
    "header-10000": answers(HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"\r\n" + CONTENT),
    "header-of-a-megabyte": answers(HEAD + b"ETag: " + b"x" * (1 << 20) + b"\r\n\r\n" + CONTENT),
    "header-endless": Case(file=lambda r: endless(HEAD + b"ETag: ", b"x")),
    "header-dripped": Case(file=lambda r: drips(HEAD + b"X: " + b"y" * 60_000)),
    "header-nul": answers(http("200 OK", CONTENT, "ETag: \0\0"), can_succeed=True),
    "header-without-colon": answers(http("200 OK", CONTENT, "no colon here"), can_succeed=True),
    "length-twice": answers(http("200 OK", CONTENT, "Content-Length: 5")),
    "length-negative": answers(http("200 OK", CONTENT, length="-7000")),
    "length-superscript": answers(http("200 OK", CONTENT, length="\xb2")),
    "length-of-5000-digits": answers(http("200 OK", CONTENT, length="9" * 5000)),
    "length-underscore": answers(http("200 OK", CONTENT, length="7_000")),
    "length-too-short": answers(http("200 OK", CONTENT, length="10")),
    "length-too-long": answers(http("200 OK", CONTENT, length="700000")),
    "length-and-chunked": answers(http("200 OK", b"5\r\nweigh\r\n0\r\n\r\n", "Transfer-Encoding: chunked")),
    "length-missing": answers(http("200 OK", CONTENT, length=None), can_succeed=True),
    "range-that-was-not-asked": answers(
        http("206 Partial", CONTENT, f"Content-Range: bytes 0-6999/{len(CONTENT)}"), can_succeed=True
    ),
    "range-missing": answers(http("206 Partial", CONTENT)),
    "range-other": answers(http("206 Partial", CONTENT, "Content-Range: bytes 5-6999/7000")),
    "range-superscript": answers(http("206 Partial", CONTENT, "Content-Range: bytes 0-\xb2/\xb3")),
    "range-of-5000-digits": answers(http("206 Partial", CONTENT, f"Content-Range: bytes 0-{'9' * 5000}/*")),
    "range-backwards": answers(http("206 Partial", CONTENT, "Content-Range: bytes 0--1/7000")),
    "range-416": answers(http("416 No range", b"", "Content-Range: bytes */7000")),
    "etag-of-other-bytes-each-time": Case(
        file=lambda r: [http("200 OK", CONTENT, f'ETag: "{r.number}"')[: -len(CONTENT) // 2]]
    ),
    "encoded": answers(http("200 OK", gzip.compress(CONTENT), "Content-Encoding: gzip")),
    # Bodies of the file.
    "chunk-size-negative": Case(file=lambda r: chunked(b"-5\r\n", CONTENT)),
    "chunk-size-hexadecimal-prefix": Case(file=lambda r: chunked(b"0x1b58\r\n", CONTENT, b"\r\n0\r\n\r\n")),
    "chunk-size-huge": Case(file=lambda r: chunked(b"f" * 5000 + b"\r\n", CONTENT)),
    "chunk-size-garbage": Case(file=lambda r: chunked(b"many\r\n", CONTENT)),
    "chunk-cut": Case(file=lambda r: chunked(b"1b58\r\n", CONTENT[:100])),
    "chunk-trailers-endless": Case(file=lambda r: endless(*chunked(b"0\r\n", b"X-A: b\r\n"))),
    "chunked": Case(file=lambda r: chunked(b"1b58;a=b\r\n", CONTENT, b"\r\n0\r\nX: y\r\n\r\n"), can_succeed=True),
    "body-other": answers(http("200 OK", b"WEIGHTS" * 1000)),
    "body-cut": cut(WHOLE, -1),
    "body-a-byte-at-a-time": Case(file=lambda r: [ranged(r)[: -len(ranged(r).partition(b"\r\n\r\n")[2]) + 1]]),
    "body-dripped": Case(file=lambda r: itertools.chain([WHOLE[: -len(CONTENT)]], drips(CONTENT, 0.05))),
    "body-silent": Case(file=lambda r: [WHOLE[:200], 3600.0]),
    "body-endless": Case(file=lambda r: endless(http("200 OK", length=None), b"weights"), can_succeed=True),
    "cut-in-the-status-line": cut(WHOLE, 5),
    "cut-in-a-header": cut(WHOLE, 30),
    "cut-before-the-body": cut(WHOLE, len(WHOLE) - len(CONTENT)),
    # Redirects.
    "redirect-ipv6-bad": redirects("http://[::1/model.onnx"),
    "redirect-port-word": redirects("http://127.0.0.1:port/model.onnx"),
    "redirect-port-large": redirects("http://127.0.0.1:99999/model.onnx"),
    "redirect-control-characters": redirects("http://127.0.0.1/\x1b[31m\x07\x9b"),
    "redirect-file": redirects("file:///etc/passwd"),
    "redirect-ftp": redirects("ftp://127.0.0.1/model.onnx"),
    "redirect-data": redirects("data:text/plain,weights"),
    "redirect-javascript": redirects("javascript:alert(1)"),
    "redirect-credentials": redirects("http://user:secret@127.0.0.1:9/model.onnx"),
    "redirect-no-host": redirects("http:///model.onnx"),
    "redirect-empty": redirects(""),
    "redirect-to-nobody": redirects("//127.0.0.1:9/model.onnx"),
    "redirect-long": redirects("/" + "x" * 60_000),
    "redirect-circle": Case(file=_loop),
    "redirect-to-itself": redirects("/team/hostile/resolve/x/model.onnx"),
    "redirect-label-long": redirects("http://" + "x" * 70 + ".example/"),
    "redirect-twice": redirects("/a", "Location: /b"),
    "redirect-with-a-body-that-never-comes": Case(
        file=lambda r: [http("302 Found", b"", "Location: /x/resolve/y", length="500"), 3600.0]
    ),
    "error-403-for-ever": answers(http("403 No", TRICKS.encode() * 5_000)),
    "error-429-for-ever": answers(http("429 Slow down", b"", "Retry-After: 1")),
    "error-503-for-ever": answers(http("503 Busy")),
    "error-502-endless": Case(file=lambda r: endless(http("502 Bad", length=None), b"<h1>")),
}


class HostileHub:
    """A socket that answers as a case says."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._numbers = itertools.count(1)
        self._ended = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(120)
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := connection.recv(65536)):
                    return
                head += data
            self._send(connection, self._answer(head.decode("latin-1")))
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)  # so that the end of the answer is not lost in a reset

    def _send(self, connection: socket.socket, answer: Answer) -> None:
        for part in answer:
            if self._ended.is_set():
                return
            if isinstance(part, bytes):
                connection.sendall(part)
            else:
                self._ended.wait(part)

    def _answer(self, head: str) -> Answer:
        path = head.split(" ", 2)[1]
        request = Request(path, head, self.endpoint, next(self._numbers))
        is_listing = path.startswith("/api/")
        chosen = self._case.listing if is_listing else self._case.file
        if chosen:
            return chosen(request)
        return [http("200 OK", listing())] if is_listing else [ranged(request)]


@contextmanager
def serving(case: Case) -> Iterator[str]:
    """Run a hostile Hub; gives its endpoint."""
    hub = HostileHub(case)
    try:
        yield hub.endpoint
    finally:
        hub.close()
