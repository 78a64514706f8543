"""Engines that this machine has not: on another machine, and one that runs without root."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.compose.projects import docker

_FORWARD = """
import os, socket, sys, threading
def copy(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
def forward(near, target):
    far = socket.socket(socket.AF_UNIX) if target.startswith("/") else socket.socket()
    try:
        far.connect(target if target.startswith("/") else (target.split(":")[0], int(target.split(":")[1])))
    except OSError:
        near.close()
        return
    threading.Thread(target=copy, args=(near, far), daemon=True).start()
    copy(far, near)
def serve(listener, target):
    while True:
        threading.Thread(target=forward, args=(listener.accept()[0], target), daemon=True).start()
for word in sys.argv[2:]:
    port, _, target = word.partition("=")
    listener = socket.create_server((sys.argv[1], int(port)))
    threading.Thread(target=serve, args=(listener, target), daemon=True).start()
print("listening", flush=True)
threading.Event().wait()
"""


def engine_socket() -> str:
    """The socket of this machine's engine."""
    return docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}").strip().removeprefix("unix://")


@contextmanager
def other_machine(*ports: int) -> Iterator[str]:
    """Make a network namespace with an address of its own, which stands for the engine's machine: it has the engine at
    port 2375, and these ports of what that publishes on every address. Needs root.
    """
    name, number = f"tritonops-{os.getpid()}", os.getpid() % 250
    near, far = f"10.213.{number}.1", f"10.213.{number}.2"
    link = f"to{os.getpid()}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("address", "add", f"{near}/30", "dev", link)
        _ip("link", "set", link, "up")
        _ip("-n", name, "address", "add", f"{far}/30", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        targets = [f"2375={engine_socket()}", *(f"{port}={near}:{port}" for port in ports)]
        command = ["ip", "netns", "exec", name, sys.executable, "-c", _FORWARD, far, *targets]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
            try:
                assert forward.stdout
                assert forward.stdout.readline() == "listening\n"
                yield far
            finally:
                forward.kill()
    finally:
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def rootless_engine(path: Path) -> Iterator[str]:
    """Give the endpoint of an engine, at `path`, that is this machine's and says of itself that it is rootless."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()
        try:
            yield f"unix://{path}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            near, _ = listener.accept()
            threading.Thread(target=_answer, args=(near,), daemon=True).start()


def _answer(near: socket.socket) -> None:
    """Answer one request, or pass on what is no question about the engine itself."""
    head = b""
    while b"\r\n\r\n" not in head and (data := near.recv(1)):
        head += data
    method, target, *_ = [*head.decode().split(" "), "", ""]
    with near, socket.socket(socket.AF_UNIX) as far:
        far.connect(engine_socket())
        if method not in ("GET", "HEAD") or not target.endswith(("/info", "/_ping")):
            far.sendall(head)
            other = threading.Thread(target=_copy, args=(near, far), daemon=True)
            other.start()
            _copy(far, near)
            return
        connection = http.client.HTTPConnection("docker")
        connection.sock = far
        connection.request(method, target)
        answer = connection.getresponse()
        body = answer.read()
        if target.endswith("/info"):
            info = json.loads(body)
            info["SecurityOptions"].append("name=rootless")
            body = json.dumps(info).encode()
        length = answer.getheader("Content-Length", "0") if method == "HEAD" else str(len(body))
        headers = {**dict(answer.getheaders()), "Content-Length": length, "Connection": "close"}
        headers.pop("Transfer-Encoding", None)
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        near.sendall(f"HTTP/1.1 {answer.status} {answer.reason}\r\n{lines}\r\n".encode() + body)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
