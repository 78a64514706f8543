"""Reads large and deep files with each loader, in a process of its own for each, and prints what it took.

python -m tests.loader_limits FOLDER STEP prints one JSON object a file: loader, file, size, ended (value, error or what
else happened), seconds of processor time, and bytes of memory beyond those before.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.loaders import LOADERS, Loader
from tritonops.documents import MAX_TOML
from tritonops.errors import TritonOpsError
from tritonops.models.catalog.lockfile import MAX_LOCK
from tritonops.models.configs.pbtxt import MAX_CONFIG

MB = 1 << 20
LARGE = 20 * MB
LIMITS = {"models.toml": MAX_TOML, "hosts.toml": MAX_TOML, "models.lock": MAX_LOCK, "config.pbtxt": MAX_CONFIG}


def files(loader: Loader) -> Iterator[tuple[str, bytes]]:
    """The files that cost most, one of 20 MB of each kind, and those that just fit into a limit."""
    size = LIMITS.get(loader.name, LARGE)
    yield "20 MB of nothing", bytes(LARGE)
    yield "20 MB of spaces", b" " * LARGE
    yield "20 MB valid, repeated", loader.valid * (LARGE // len(loader.valid))
    if loader.name.endswith((".toml", ".lock")):
        for piece in (b"[k%d]\n", b"k%d=1\n", b"k%d.a=1\n", b"[[models.k%d]]\n"):
            yield f"{piece!r}", b"".join(piece % number for number in range(size // 16))
        for head, piece, tail in (
            (b"a=[", b"1,", b"]"),
            (b"a=[", b"[],", b"]"),
            (b"a=[", b"{},", b"]"),
            (b"[models]\na=[", b"1,", b"]"),
            (b"a.", b"a.", b"a=1"),
            (b"[[a.", b"a.", b"a]]"),
            (b"models.", b"'a' . ", b"a=1"),
            (b"a=", b"[", b""),
            (b"a=", b"{a=", b""),
            (b'a="""', b"\\u0041", b'"""'),
            (b"a=", b"1", b""),
            (b"a=0x", b"f", b""),
            (b"", b"a", b""),
            (b"", b'"', b""),
            (b"", "\U0001f600".encode(), b""),
        ):
            yield f"{head + piece!r}…", head + piece * ((size - 32) // len(piece)) + tail
    elif loader.name == "config.pbtxt":
        for head, piece, tail in (
            (b"input { dims: [", b"1,", b"1 ] }"),
            (b"", b"input{}", b""),
            (b"", b"#\n", b""),
            (b"", b" ", b""),
            (b"", b"\n", b""),
            (b'name: "', b"\\x41", b'"'),
            (b"name: ", b'"a" ', b""),
            (b"max_batch_size: ", b"1", b""),
            (b"", b"input {", b""),
            (b"", b"a", b""),
            (b"", b'parameters{key:"k"value{}}', b""),
        ):
            yield f"{head + piece!r}…", head + piece * ((size - 32) // len(piece)) + tail
    elif loader.name == ".env":
        for piece in (b"A=1\n", b"A=$A\n", b"${A:-", b"A=", b"#", b"'", b'\\"', b"export ", b"\xe2\x80\xa8"):
            for head in (b"", b"A=", b'A="'):
                yield f"{head + piece!r}…", head + piece * ((1 << 20) // len(piece) - 1)
    elif loader.name == "model.onnx":
        for piece in (b"\x0a\x00", b"\x3a\x00", b"\x08\x00", b"\x72\x00", b"\x42\x00"):
            yield f"{piece!r} repeated", piece * (LARGE // len(piece))
        for piece in (b"\x0a\x00", b"\x2a\x00", b"\x5a\x00", b"\x5a\x04\x0a\x02ab", b"\x2a\x04\x42\x02ab", b"\x7a\x00"):
            yield f"a graph of {piece!r}", field(7, piece * (LARGE // len(piece)))
        location = field(5, field(13, field(1, b"location") + field(2, b"w")) + b"\x70\x01")
        yield (
            "a node of a million numbers and a location",
            field(7, field(1, field(5, location + b"\x40\x01" * (LARGE // 2)))),
        )
        for depth in (30, 1000, 20_000):
            graph = field(1, field(5, location))
            for _ in range(depth):
                graph = field(1, field(5, field(6, graph)))
            yield f"{depth} graphs in graphs", field(7, graph)
        shape = field(2, b"\x0a\x00" * (LARGE // 2))
        yield "a shape of a million dimensions", field(7, field(11, field(2, field(1, shape))))
    elif loader.name.endswith(".json") or loader.name.endswith("pid"):
        for head, piece, tail in (
            (b'{"x": [', b"1,", b"1]}"),
            (b'{"x": [', b"0.123456789012345678,", b"1]}"),
            (b'{"x": [', b"0.1,", b"1]}"),
            (b'{"x": [', b"[],", b"1]}"),
            (b'{"x": [', b"{},", b"1]}"),
            (b'{"s": [', b'"ab",', b'"a"]}'),
            (b'{"s": [', '"\U0001f600",'.encode(), b'"a"]}'),
            (b'{"x": ', b"[", b""),
            (b"", b'{"a":', b""),
            (b'{"x": ', b"1", b"}"),
            (b'{"x": "', b"\\ud800", b'"}'),
            (b'{"x": "', b"a", b'"}'),
        ):
            for amount in (size, 4 * MB):
                count = (amount - 32) // len(piece)
                yield f"{amount >> 20} MB of {head + piece!r}…", head + piece * count + tail
        yield "20 MB of keys", b"{" + b",".join(b'"%d":1' % number for number in range(LARGE // 12)) + b"}"
        yield "900 deep", b'{"x": ' + b"[" * 900 + b"]" * 900 + b"}"


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """As the wire format writes it."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def measure(loader: Loader, path: Path) -> dict[str, object]:
    """Read it in a process of its own, which the kernel ends where it takes far too much."""
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        before = resident()
        resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        started = sum(os.times()[:2])
        try:
            loader.read(path)
            ended = "value"
        except TritonOpsError:
            ended = "error"
        except BaseException as exc:
            ended = f"{type(exc).__name__}: {exc}"[:300]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        seconds, memory = sum(os.times()[:2]) - started, usage.ru_maxrss * 1024 - before
        os.write(writing, json.dumps({"ended": ended, "seconds": round(seconds, 2), "memory": memory}).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    return json.loads(text) if text else {"ended": f"killed: {status}", "seconds": 0, "memory": 0}


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(folder: Path, step: int) -> None:
    """Measure each loader with each of its files, or with every third where STEP is 3."""
    for loader in LOADERS:
        path = folder / loader.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(loader.valid)
        loader.read(path)  # what it imports is no cost of the file
        for name, content in itertools.islice(files(loader), 0, None, step):
            path.write_bytes(content)
            row = {"loader": loader.name, "file": name, "size": len(content), **measure(loader, path)}
            print(json.dumps(row), flush=True)
        path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
