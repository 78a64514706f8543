"""Listing and fetching for one run: the network is opened by the first thing that needs it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tritonops.errors import AccessDeniedError, SourceError, SourceMissingError, TritonOpsError
from tritonops.models.catalog.catalog import ModelVersion, PathSource
from tritonops.models.catalog.lockfile import LockedVersion
from tritonops.models.disk.store import Store, file_sha256
from tritonops.models.http.address import Address
from tritonops.models.sources.hub import Hub
from tritonops.models.sources.listing import Listing, list_path, list_pinned, list_remote
from tritonops.models.sources.path_source import require_unchanged
from tritonops.models.transfer.progress import Progress
from tritonops.models.transfer.remote_file import RemoteFile
from tritonops.models.transfer.worker_pool import in_parallel
from tritonops.settings import DEFAULT_STALL_SECONDS

if TYPE_CHECKING:
    from tritonops.models.http.transport import Transport
    from tritonops.models.transfer.downloader import OnStored


Pinned = tuple[ModelVersion, LockedVersion]
_T = TypeVar("_T")
_R = TypeVar("_R")
CORES = os.cpu_count() or 1
MAX_CONNECTIONS = 64
"""Connections at most. Over a long line a CDN gives one connection some 10 to 40 MB/s, so these fill a line of several
Gbit/s; a fast or a short one is filled by fewer, and no more are opened. `curl --parallel` goes as far as 50, and
`aria2c -x16 -j8` as far as 128."""


class Fetcher:
    """Gets files from their sources into the store. A context manager: it ends its connections."""

    def __init__(
        self,
        store: Store,
        hub: Hub,
        progress: Progress,
        *,
        max_connections: int = MAX_CONNECTIONS,
        stall_seconds: float = DEFAULT_STALL_SECONDS,
    ) -> None:
        self._store, self._hub, self._progress = store, hub, progress
        self._max_connections, self._stall_seconds = max_connections, stall_seconds
        self._transport: Transport | None = None
        self.received = 0
        """Bytes that were fetched or copied."""

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        if self._transport:
            self._transport.close()

    def list_files(self, versions: Iterable[ModelVersion]) -> dict[str, Listing | TritonOpsError]:
        """Ask the sources what the versions consist of now; by label, a listing or why there is none."""
        wanted = list(versions)
        if any(not isinstance(version.source, PathSource) for version in wanted) and not self._hub.is_offline:
            self._connect()
        answers = in_parallel(self._ask, wanted, threads=self._max_connections)
        return {version.label: answer for version, answer in zip(wanted, answers, strict=True)}

    def list_pinned(self, pins: Mapping[str, Pinned]) -> dict[str, Listing | TritonOpsError]:
        """Say what pins consist of, by label; no request is sent.

        Files of this machine are compared with their pin: a SourceChangedError, or a SourceError for one that cannot be
        read, takes the place of the listing. A missing file is no error: the store may have it.
        """
        local = [(version, pin) for version, pin in pins.values() if isinstance(version.source, PathSource)]
        errors = dict(in_parallel(self._compare, local, threads=CORES, first=CORES)) if local else {}
        return {label: errors.get(label) or list_pinned(*pinned, self._hub) for label, pinned in pins.items()}

    def _compare(self, pinned: Pinned) -> tuple[str, TritonOpsError | None]:
        version, pin = pinned
        assert isinstance(version.source, PathSource)
        try:
            require_unchanged(version, version.source, pin, self._store.digests)
        except SourceMissingError as exc:
            self._progress.warned(f"{version.label}: {exc}; what is locked counts")
        except TritonOpsError as exc:
            return version.label, exc
        return version.label, None

    def missing_files(self, files: Iterable[RemoteFile]) -> dict[str, RemoteFile]:
        """Tell which of these files the store lacks, by key; a file whose SHA-256 nobody knows yet is one of them."""
        return {file.key: file for file in files if file.sha256 is None or not self._store.has(file.sha256)}

    def fetch(
        self, files: Iterable[RemoteFile], on_stored: OnStored = lambda keys: None
    ) -> dict[str, str | TritonOpsError]:
        """Bring files that the store lacks; by key, each one's SHA-256 or why it could not be had.

        `on_stored` is called, in this thread, with the keys of those that were fetched, while others come.
        Raises StoreError where the disk is full; what has arrived is kept.
        """
        lacking = {file.key: file for file in files}
        self._store.require_space(sum(file.size for file in lacking.values()))
        local = [(file, file.origin) for file in lacking.values() if isinstance(file.origin, Path)]
        outcomes: dict[str, str | TritonOpsError] = {file.key: self._copy(file, origin) for file, origin in local}
        remote = [(file, file.origin) for file in lacking.values() if isinstance(file.origin, Address)]
        return {**outcomes, **self._fetch(remote, on_stored)} if remote else outcomes

    def _fetch(
        self, files: Sequence[tuple[RemoteFile, Address]], on_stored: OnStored
    ) -> Mapping[str, str | TritonOpsError]:
        if self._hub.is_offline:
            return {file.key: _offline(file.name) for file, _ in files}
        # Imported here: a run with nothing to fetch does without.
        from tritonops.models.transfer.downloader import Engine

        engine = Engine(
            self._store, self._connect(), self._progress, max_connections=self._max_connections, on_stored=on_stored
        )
        outcomes = engine.fetch([file for file, _ in files])
        self.received += engine.received
        return outcomes

    def _connect(self) -> Transport:
        from tritonops.models.http.transport import Transport

        self._transport = self._transport or Transport(
            connections=self._max_connections, stall_seconds=self._stall_seconds, on_wait=self._progress.warned
        )
        return self._transport

    def _ask(self, version: ModelVersion) -> Listing | TritonOpsError:
        try:
            if isinstance(version.source, PathSource):
                return list_path(version, version.source, self._store.digests)
            if self._hub.is_offline:
                return _offline(version.label)
            return list_remote(version, self._hub, self._connect())
        except AccessDeniedError as exc:
            if self._hub.is_anonymous:
                exc.hint = "HF_HUB_DISABLE_IMPLICIT_TOKEN is set, so no token was sent."
            return exc
        except TritonOpsError as exc:
            return exc

    def _copy(self, file: RemoteFile, origin: Path) -> str | TritonOpsError:
        sha256 = file.sha256 or file_sha256(origin)
        try:
            self._store.copy_in(origin, sha256)
        except SourceError as exc:
            return exc
        self.received += file.size
        return sha256


def _offline(what: str) -> SourceError:
    return SourceError(
        f"{what} is not stored here, and HF_HUB_OFFLINE forbids to ask for it",
        hint="Unset HF_HUB_OFFLINE to download it.",
    )
