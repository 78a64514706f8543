from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from tritonops.server import debian_packages


class Debian:
    """A Debian archive on disk, which is all that apt-get knows, and a user with an empty cache."""

    def __init__(self, folder: Path) -> None:
        self.archive, self.cache = folder / "archive", folder / "cache"
        self.archive.mkdir()
        (self.archive / "Packages").touch()
        (folder / "sources.list").write_text(f"deb [trusted=yes] copy:{self.archive} ./\n")
        self.config = folder / "apt.conf"
        sources = f'Dir::Etc::SourceList "{folder}/sources.list"; Dir::Etc::SourceParts "{folder}/none";'
        self.config.write_text(sources)

    @property
    def packages(self) -> Path:
        """Where fetched packages are unpacked."""
        return self.cache / "tritonops" / "packages" / debian_packages._system()

    def add(self, name: str, path: str, *, depends: str = "") -> Path:
        """Add a package that consists of one file; return its path."""
        tree = self.archive.with_name(f"{name}-tree")
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / path).parent.mkdir(parents=True)
        (tree / path).write_text(name)
        control = f"Package: {name}\nVersion: 99:1\nArchitecture: all\nMaintainer: t <t@t>\nDescription: test\n"
        control += f"Depends: {depends}\n" if depends else ""
        (tree / "DEBIAN" / "control").write_text(control)
        deb = self.archive / f"{name}.deb"
        subprocess.run(["dpkg-deb", "--build", str(tree), str(deb)], check=True, capture_output=True)
        data = deb.read_bytes()
        fields = f"Filename: ./{deb.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        with (self.archive / "Packages").open("a") as packages:
            packages.write(f"{control}{fields}\n")
        return Path(path)


@pytest.fixture
def debian(tmp_path, monkeypatch) -> Debian:
    if not debian_packages.can_fetch():
        pytest.skip("this system has no apt-get")
    made = Debian(tmp_path)
    monkeypatch.setenv("APT_CONFIG", str(made.config))
    monkeypatch.setenv("XDG_CACHE_HOME", str(made.cache))
    return made
