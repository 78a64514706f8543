"""The files of a version, as its source lists them: names, sizes and hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tritonops.errors import SourceError, TritonOpsError, near_misses
from tritonops.models.catalog.catalog import HubSource, ModelVersion, PathSource, UrlSource
from tritonops.models.catalog.lockfile import LockedFile, LockedVersion, requested
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.http.address import Address
from tritonops.models.sources.hub import Hub
from tritonops.models.sources.path_source import list_local_files, unreadable
from tritonops.models.transfer.remote_file import RemoteFile
from tritonops.redaction import redact

if TYPE_CHECKING:
    from tritonops.models.http.retries import Retries
    from tritonops.models.http.transport import Transport
    from tritonops.models.sources.hub_listing import HubFile


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


def list_remote(version: ModelVersion, hub: Hub, transport: Transport) -> Listing:
    """List a version's files at the Hub or a URL, with one request. Raises SourceError."""
    if isinstance(version.source, HubSource):
        return _list_hub(version, version.source, hub, transport)
    assert isinstance(version.source, UrlSource)
    return _list_url(version, version.source, transport)


def _list_hub(version: ModelVersion, source: HubSource, hub: Hub, transport: Transport) -> Listing:
    from tritonops.models.sources.hub_listing import parse_listing

    prefix, is_folder = f"{version.path}/" if version.path else "", version.kind == "directory"

    def is_selected(path: str) -> bool:
        return path.startswith(prefix) if is_folder else path == version.path

    # One request for the commit, and for all files with their hashes and sizes (`blobs`).
    address = hub.address(f"api/models/{source.repo_id}/revision/{quote(source.revision, safe='')}?blobs=true")
    found = transport.get_document(address, lambda chunks: parse_listing(chunks, is_selected))
    if not found.files:
        what = "folder" if is_folder else "file"
        raise SourceError(
            f"{source.repo_id} at {source.revision} has no {what} {version.path!r}. "
            + near_misses(version.path, found.examples, "files")
        )
    files = sorted(found.files, key=lambda file: file.path)
    return Listing(version, found.commit, tuple(_hub_file(version, source, found.commit, file, hub) for file in files))


def _hub_file(version: ModelVersion, source: HubSource, commit: str, file: HubFile, hub: Hub) -> RemoteFile:
    below = file.path.removeprefix(version.path).lstrip("/")
    target = f"{version.local_name}/{below}" if version.kind == "directory" else version.local_name
    origin = hub.file(source, commit, file.path)
    return RemoteFile(version.label, target, file.size, origin, file.sha256, file.git_oid)


def _list_url(version: ModelVersion, source: UrlSource, transport: Transport) -> Listing:
    from tritonops.models.http.headers import content_length, content_range

    # A GET of one byte and not a HEAD, which a URL that is signed for GET would refuse.
    address = Address(source.url)

    def ask(retries: Retries) -> int | None:
        with transport.open(address, retries, {"Range": "bytes=0-0"}) as response:
            if response.status == 206:
                return content_range(response.headers).total
            return content_length(response.headers)

    size = transport.patiently(ask, source.url)
    if size is None:
        raise SourceError(f"{version.label}: {redact(source.url)} does not say how long it is")
    return Listing(version, None, (RemoteFile(version.label, version.local_name, size, address, source.sha256),))


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
