"""The proof that each served model is the one on disk.

It consists of the digest of the files that Triton reads, taken after they were linked there; the time of Triton's
acknowledgement of a later load; the process that loaded them; and the config that it served then.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tritonops.errors import DeployError
from tritonops.models.catalog.lockfile import load_lock, pin_of
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.disk.repository import Repository
from tritonops.remote.layout.paths import Layout, Release
from tritonops.remote.layout.records import RecordedLoad
from tritonops.remote.layout.scripts import script
from tritonops.settings import Settings


def seal(folder: Path) -> str:
    """Digest inode, size and times of each file below a model's folder, not its content."""
    lines = []
    for path in _files(folder):
        found = path.lstat()
        identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        lines.append(f"{path.relative_to(folder)} {identity}")
    return _digest(lines)


def digest_files(folder: Path, digests: DigestCache) -> str:
    """Digest the names and contents of the files below a model's folder."""
    files = _files(folder)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        contents = list(pool.map(digests.sha256, files))
    return _digest(f"{path.relative_to(folder)} {content}" for path, content in zip(files, contents, strict=True))


def require_pinned(release: Release, settings: Settings, models_dir: Path, digests: DigestCache) -> None:
    """Raise DeployError where a file that Triton reads differs from the release's models.lock."""
    catalog, lock = load_catalog(settings.models_toml), load_lock(settings.lock_path)
    names = set(Repository(models_dir).enabled_names())
    for version in catalog.versions:
        pin = pin_of(version, lock, catalog.path)
        if pin and version.name in names:
            folder = models_dir / version.name / str(version.version)
            for file in pin.files:
                if not digests.matches(folder / file.path, file.size, file.sha256):
                    raise DeployError(f"{folder / file.path} differs from models.lock of {release.id}")


def server_process(layout: Layout, release: Release, settings: Settings) -> str:
    """Name the process that serves, as prove_release.sh does for the client."""
    port = settings.triton_url.rpartition(":")[2]
    program = script("server_process", runtime=release.record.runtime, port=port)
    command = ["sh", "-c", f'{program}server_process "$runtime" "$port"']
    done = subprocess.run(command, cwd=layout.root, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def unchanged_loads(loads: Mapping[str, RecordedLoad], models_dir: Path) -> dict[str, RecordedLoad]:
    """Keep the loads of models whose files are unchanged."""
    return {name: load for name, load in loads.items() if seal(models_dir / name) == load.seal}


def _files(folder: Path) -> list[Path]:
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    return sorted(path for path in found if path.parent.name != "__pycache__")


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]
