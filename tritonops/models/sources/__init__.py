"""Where a version's files come from: how they are called there, how large they are, what their bytes must be."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tritonops.errors import SettingsError, SourceError, TritonOpsError, near_misses
from tritonops.files import expand_home
from tritonops.models.address import Address
from tritonops.models.catalog import HubSource, ModelVersion, PathSource, UrlSource
from tritonops.models.digest_cache import DigestCache
from tritonops.models.lock import LockedFile, LockedVersion, requested
from tritonops.models.sources.path_source import list_local_files, unreadable
from tritonops.redaction import redact

if TYPE_CHECKING:
    from tritonops.models.sources.hub_listing import HubFile
    from tritonops.models.transfer.http import Retries, Transport
    from tritonops.settings import Settings

Outcomes = Mapping[str, str | TritonOpsError]
"""What fetching came to, by a file's key: its SHA-256, or why it could not be had."""


@dataclass(frozen=True)
class ListedFile:
    """One file of a version, as its source lists it."""

    label: str
    """The version's, for progress and errors."""
    path: str
    """Below `<model>/<version>/`, as a POSIX path."""
    size: int
    origin: Address | Path
    sha256: str | None
    git_oid: str | None = None
    """What the Hub has instead of a SHA-256 for a small file: git's name for it."""

    @property
    def key(self) -> str:
        """The same for the same bytes, whatever they are wanted for."""
        return self.sha256 or f"git-{self.git_oid}"


@dataclass(frozen=True)
class Listing:
    """What a version consists of, before every SHA-256 is known."""

    version: ModelVersion
    commit: str | None
    files: tuple[ListedFile, ...]

    def completed(self, outcomes: Outcomes) -> Listing:
        """Fill in the SHA-256 of the files that have come."""
        digests = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, str)}
        files = tuple(replace(file, sha256=file.sha256 or digests.get(file.key)) for file in self.files)
        return replace(self, files=files)

    def locked(self, catalog_path: Path, outcomes: Outcomes) -> LockedVersion | None:
        """Make the pin, once every hash is known: those of small files are, when the files have come."""
        files = []
        for file in self.files:
            sha256 = file.sha256 or outcomes.get(file.key)
            if not isinstance(sha256, str):
                return None
            files.append(LockedFile(file.path, file.size, sha256))
        source = requested(self.version, catalog_path)
        return LockedVersion(self.version.name, self.version.version, source, self.commit, tuple(files))


@cache
def stored_token() -> str | None:
    """Find the token of `hf auth login`; huggingface_hub is asked, and imported, only where there can be one."""
    if not (os.environ.get("HUGGING_FACE_HUB_TOKEN") or _token_path().exists()):
        return None
    from huggingface_hub import get_token

    try:
        token = get_token()
    except (OSError, ValueError) as exc:
        raise SourceError(f"cannot read the token of `hf auth login`, {_token_path()}: {exc}") from exc
    if token and not re.fullmatch("[!-~]+", token):
        raise SourceError(
            f"{_token_path()} holds no token: one is printable ASCII without spaces", hint="hf auth login"
        )
    return token


def _token_path() -> Path:
    """Where huggingface_hub keeps it. Raises SettingsError for the home of a user who does not exist."""
    for name, rest in (("HF_TOKEN_PATH", ""), ("HF_HOME", "/token"), ("XDG_CACHE_HOME", "/huggingface/token")):
        if folder := os.environ.get(name):
            try:
                return Path(os.path.expandvars(expand_home(f"{folder}{rest}")))
            except ValueError as exc:
                raise SettingsError(f"{name}={folder!r} in the environment: {exc}") from exc
    return Path(os.path.expanduser("~/.cache/huggingface/token"))  # noqa: PTH111 (Path.expanduser fails without a home)


@dataclass(frozen=True)
class Hub:
    """The Hub, or a mirror of it."""

    endpoint: str
    token: str | None = field(repr=False)
    """None means the one that `hf auth login` stored, where somebody did."""
    is_anonymous: bool = False
    """No token is sent that was not given for the one request: HF_HUB_DISABLE_IMPLICIT_TOKEN."""
    is_offline: bool = False
    """No request is sent, to the Hub or any other server: HF_HUB_OFFLINE."""

    @classmethod
    def of(cls, settings: Settings) -> Hub:
        """The Hub that the settings name."""
        return cls(settings.hf_endpoint, settings.hf_token, not settings.hf_implicit_token, settings.hf_offline)

    def address(self, path: str) -> Address:
        """Make an address of the Hub; the token goes nowhere else."""
        token = None if self.is_anonymous else self.token or stored_token()
        return Address(f"{self.endpoint}/{path}", token)

    def file(self, source: HubSource, commit: str, path: str) -> Address:
        """Where a file of a repository can be had."""
        return self.address(f"{source.repo_id}/resolve/{quote(commit, safe='')}/{quote(path)}")


def list_pinned(version: ModelVersion, pin: LockedVersion, hub: Hub) -> Listing:
    """Say what a pin consists of and where the bytes can be had; nothing is asked of anybody."""
    files = (
        ListedFile(version.label, file.path, file.size, _origin(version, pin.commit or "", file.path, hub), file.sha256)
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
    """Ask the Hub, or the server of a URL, what a version consists of now: one request. Raises SourceError."""
    if isinstance(version.source, HubSource):
        return _list_hub(version, version.source, hub, transport)
    assert isinstance(version.source, UrlSource)
    return _list_url(version, version.source, transport)


def _list_hub(version: ModelVersion, source: HubSource, hub: Hub, transport: Transport) -> Listing:
    from tritonops.models.sources.hub_listing import parse_listing

    prefix, is_folder = f"{version.path}/" if version.path else "", version.kind == "directory"

    def is_wanted(path: str) -> bool:
        return path.startswith(prefix) if is_folder else path == version.path

    # One request for the commit, and for all files with their hashes and sizes (`blobs`).
    address = hub.address(f"api/models/{source.repo_id}/revision/{quote(source.revision, safe='')}?blobs=true")
    found = transport.get_document(address, lambda chunks: parse_listing(chunks, is_wanted))
    if not found.files:
        what = "folder" if is_folder else "file"
        raise SourceError(
            f"{source.repo_id} at {source.revision} has no {what} {version.path!r}. "
            + near_misses(version.path, found.examples)
        )
    files = sorted(found.files, key=lambda file: file.path)
    return Listing(version, found.commit, tuple(_hub_file(version, source, found.commit, file, hub) for file in files))


def _hub_file(version: ModelVersion, source: HubSource, commit: str, file: HubFile, hub: Hub) -> ListedFile:
    below = file.path.removeprefix(version.path).lstrip("/")
    target = f"{version.local_name}/{below}" if version.kind == "directory" else version.local_name
    origin = hub.file(source, commit, file.path)
    return ListedFile(version.label, target, file.size, origin, file.sha256, file.git_oid)


def _list_url(version: ModelVersion, source: UrlSource, transport: Transport) -> Listing:
    from tritonops.models.transfer.headers import content_length, content_range

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
    return Listing(version, None, (ListedFile(version.label, version.local_name, size, address, source.sha256),))


def list_path(version: ModelVersion, source: PathSource, digests: DigestCache) -> Listing:
    """List files of this machine, and hash them. Raises SourceError."""
    files = []
    for target, file in list_local_files(version, source).items():
        try:
            files.append(ListedFile(version.label, target, file.stat().st_size, file, digests.sha256(file)))
        except OSError as exc:
            raise unreadable(file, exc) from exc
    return Listing(version, None, tuple(files))
