"""Ask the Hub for the commit of a revision, and for the files of a version with their sizes and hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from tritonops.errors import SourceError, near_misses
from tritonops.models.catalog.catalog import HubSource, ModelVersion
from tritonops.models.sources.hub_address import Hub
from tritonops.models.sources.listing import Listing
from tritonops.models.transfer.remote_file import RemoteFile

if TYPE_CHECKING:
    from tritonops.models.http.transport import Transport
    from tritonops.models.sources.hub_answer import HubFile


def list_hub(version: ModelVersion, source: HubSource, hub: Hub, transport: Transport) -> Listing:
    """List a version's files with one request. Raises SourceError."""
    from tritonops.models.sources.hub_answer import parse_listing

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
