"""The files of a version, as its source lists them: names, sizes and hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tritonops.errors import TritonOpsError
from tritonops.models.catalog.catalog import HubSource, ModelVersion, PathSource, UrlSource
from tritonops.models.catalog.lockfile import LockedFile, LockedVersion, requested
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.http.address_with_token import Address
from tritonops.models.sources.hub_address import Hub
from tritonops.models.sources.path_source import list_local_files, unreadable
from tritonops.models.transfer.remote_file import RemoteFile

FetchResults = Mapping[str, str | TritonOpsError]
"""By a file's key, its SHA-256, or why it could not be fetched."""


@dataclass(frozen=True)
class Listing:
    """What a version consists of, before every SHA-256 is known."""

    version: ModelVersion
    commit: str | None
    files: tuple[RemoteFile, ...]

    def completed(self, outcomes: FetchResults) -> Listing:
        """Fill in the SHA-256 of files that were fetched."""
        digests = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, str)}
        files = tuple(replace(file, sha256=file.sha256 or digests.get(file.key)) for file in self.files)
        return replace(self, files=files)

    def locked(self, catalog_path: Path, outcomes: FetchResults) -> LockedVersion | None:
        """Make the pin, once every hash is known: those of small files are, when they were fetched."""
        files = []
        for file in self.files:
            sha256 = file.sha256 or outcomes.get(file.key)
            if not isinstance(sha256, str):
                return None
            files.append(LockedFile(file.path, file.size, sha256))
        source = requested(self.version, catalog_path)
        return LockedVersion(self.version.name, self.version.version, source, self.commit, tuple(files))


def list_pinned(version: ModelVersion, pin: LockedVersion, hub: Hub) -> Listing:
    """List the files of a pin and their origins; no request is sent."""
    files = (
        RemoteFile(version.label, file.path, file.size, _origin(version, pin.commit or "", file.path, hub), file.sha256)
        for file in pin.files
    )
    return Listing(version, pin.commit, tuple(files))


def _origin(version: ModelVersion, commit: str, path: str, hub: Hub) -> Address | Path:
    source = version.source
    below = path.removeprefix(f"{version.local_name}/") if version.kind == "directory" else ""
    if isinstance(source, HubSource):
        return hub.file(source, commit, "/".join(part for part in (version.path, below) if part))
    return Address(source.url) if isinstance(source, UrlSource) else source.path / below


def list_path(version: ModelVersion, source: PathSource, digests: DigestCache | None) -> Listing:
    """List files of this machine, and with `digests` hash them. Raises SourceError."""
    files = []
    for target, file in list_local_files(version, source).items():
        try:
            sha256 = digests.sha256(file) if digests else None
            files.append(RemoteFile(version.label, target, file.stat().st_size, file, sha256))
        except OSError as exc:
            raise unreadable(file, exc) from exc
    return Listing(version, None, tuple(files))
