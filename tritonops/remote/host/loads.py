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


def server_process(layout: Layout, runtime: str) -> str:
    """Identify the process that serves this folder's models, as the client does; empty without one."""
    return _run(layout, 'server_process "$runtime"', runtime=runtime)


def log_end(layout: Layout) -> str:
    """Locate the end of the embedded server's log."""
    return _run(layout, "log_end")


def is_log_lost(layout: Layout) -> bool:
    """Whether the embedded server's log was removed or replaced while it runs."""
    command = ["sh", "-c", f"{script('lost_log')}lost_log"]
    return subprocess.run(command, cwd=layout.root, capture_output=True, check=False).returncode == 0


def loads_since(layout: Layout, release: Release) -> frozenset[str]:
    """Name the models that were loaded since the activation of the current release, by whatever command."""
    activation = release.activation
    if activation is None or not activation.loaded_at:
        return frozenset()
    words = {
        "runtime": release.record.runtime,
        "end": activation.log_end,
        "at": activation.loaded_at,
        "server": activation.server,
    }
    return frozenset(_run(layout, 'loads_since "$runtime" "$end" "$at" "$server"', **words).splitlines())


def _run(layout: Layout, call: str, **variables: str) -> str:
    command = ["sh", "-c", f"{script('loads_since', 'server_process', **variables)}{call}"]
    return subprocess.run(command, cwd=layout.root, capture_output=True, text=True, check=False).stdout.strip()


def unchanged_loads(loads: Mapping[str, RecordedLoad], models_dir: Path) -> dict[str, RecordedLoad]:
    """Keep the loads of models whose files are unchanged."""
    return {name: load for name, load in loads.items() if seal(models_dir / name) == load.seal}


def _files(folder: Path) -> list[Path]:
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    return sorted(path for path in found if path.parent.name != "__pycache__")


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]
