"""A small project in git."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from tritonops.remote.client.checkout import read_checkout
from tritonops.remote.client.inventory import HostSettings

HERE = HostSettings("gpu-01", config="cpu", runtime="embedded")


FILES = {
    "inv": "#!/bin/sh\n",
    "models.toml": "",
    "requirements/runtime.txt": "",
    "docs/a.md": "a\n",
    "config.pbtxt": "one\n",
}


IDENTITY = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]


class Repository:
    """A small project in git."""

    def __init__(self, folder: Path, files: dict[str, str] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        for name, text in (FILES if files is None else files).items():
            self.write(name, text)
        if (folder / "inv").exists():
            (folder / "inv").chmod(0o755)
        self.commit("Begin")

    def git(self, *arguments: str, check: bool = True, **environment: str) -> None:
        command = ["git", *IDENTITY, "-c", "protocol.file.allow=always", *arguments]
        environment = {**os.environ, "GIT_EDITOR": "true", **environment}
        subprocess.run(command, cwd=self.folder, check=check, capture_output=True, env=environment)

    def write(self, name: str | bytes, text: str | bytes) -> Path:
        path = self.folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def commit(self, message: str = "More") -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")

    def edit_unseen(self, name: str = "config.pbtxt", text: str = "two\n") -> None:
        """Change a file so that its size and its modification time stay."""
        path = self.folder / name
        before = path.stat()
        path.write_text(text)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def sent(project: Path) -> dict[str, str]:
    """What a deploy of this folder would send."""
    return {entry.path: entry.target or entry.sha256 for entry in read_checkout(project).manifest.entries}


def sha256(text: str | bytes) -> str:
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


AS_COMMITTED = {name: sha256(text) for name, text in FILES.items()}


def is_changed(project: Path) -> bool:
    return read_checkout(project).head.is_changed


NAMES = [
    b"not-utf-8-\xff",
    b"#comment",
    b";semicolon",
    b' "quoted" ',
    b"new\nline",
    b"back\\slash",
    b"-dash",
    b"a -> b",
    b"\xc3\xa9",
]
