"""Listing and fetching for one run; the network is opened by the first request."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tritonops.errors import AccessDeniedError, SourceError, SourceMissingError, TritonOpsError
from tritonops.models.catalog.catalog import HubSource, ModelVersion, PathSource, UrlSource
from tritonops.models.catalog.lockfile import LockedVersion
from tritonops.models.disk.store import Store, disk_error
from tritonops.models.sources.hub_address import Hub
from tritonops.models.sources.listing import Listing, list_path, list_pinned
from tritonops.models.sources.path_source import require_unchanged
from tritonops.models.transfer.progress import Progress
from tritonops.models.transfer.remote_file import RemoteFile
from tritonops.models.transfer.storage import StorageError
from tritonops.models.transfer.tuning import DEFAULT_TUNING
from tritonops.models.transfer.worker_pool import in_parallel
from tritonops.settings import DEFAULT_STALL_SECONDS

if TYPE_CHECKING:
    from tritonops.models.http.transport import Transport
    from tritonops.models.transfer.downloader import OnStored
    from tritonops.settings import Settings


Pinned = tuple[ModelVersion, LockedVersion]
CORES = os.cpu_count() or 1


class Fetcher:
    """Lists files of their sources, and fetches them into the store. A context manager: it ends its connections."""

    def __init__(
        self,
        store: Store,
        hub: Hub,
        progress: Progress,
        *,
        environ: Mapping[str, str],
        max_connections: int | None = None,
        stall_seconds: float = DEFAULT_STALL_SECONDS,
    ) -> None:
        self._store, self._hub, self._progress, self._environ = store, hub, progress, environ
        self._max_connections = max_connections or DEFAULT_TUNING.max_connections
        self._stall_seconds = stall_seconds
        self._transport: Transport | None = None
        self.received = 0
        """Bytes that were fetched or copied."""

    @classmethod
    def of(cls, settings: Settings, store: Store, progress: Progress, *, max_connections: int | None = None) -> Fetcher:
        """Make the fetcher that the settings describe."""
        return cls(
            store,
            Hub.of(settings),
            progress,
            environ=settings.environment.process,
            max_connections=max_connections,
            stall_seconds=settings.stall_seconds,
        )

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        if self._transport:
            self._transport.close()

    def list_files(
        self, versions: Iterable[ModelVersion], *, is_hashed: Callable[[ModelVersion], bool] = lambda version: True
    ) -> dict[str, Listing | TritonOpsError]:
        """Ask the sources what the versions consist of now; by label, a listing or why there is none.

        `is_hashed` says of a version whether its local files are hashed; those of the others are when they are copied.
        """
        unlisted = list(versions)
        if any(not isinstance(version.source, PathSource) for version in unlisted) and not self._hub.is_offline:
            self._connect()
        list_one = functools.partial(self._list, is_hashed=is_hashed)
        results = in_parallel(list_one, unlisted, threads=self._max_connections)
        return {version.label: result for version, result in zip(unlisted, results, strict=True)}

    def list_pinned(self, pins: Mapping[str, Pinned]) -> dict[str, Listing | TritonOpsError]:
        """List what pins consist of, by label; no request is sent.

        Local files are compared with their pin: a SourceChangedError, or a SourceError for one that cannot be read,
        takes the place of the listing. A missing file is no error: the store may have it.
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
        """Select the files that are not stored, by key, including those whose SHA-256 is not known yet."""
        return {file.key: file for file in files if file.sha256 is None or not self._store.has(file.sha256)}

    def fetch(
        self, files: Iterable[RemoteFile], on_stored: OnStored = lambda keys: None
    ) -> dict[str, str | TritonOpsError]:
        """Fetch files into the store; returns, by key, each one's SHA-256 or why it could not be fetched.

        `on_stored` is called, in this thread, with the keys of those that were fetched, while others arrive.
        Raises StoreError where the disk is full; what has arrived stays.
        """
        missing = {file.key: file for file in files}
        self._store.require_space(sum(file.size for file in missing.values()))
        local = [(file, file.origin) for file in missing.values() if isinstance(file.origin, Path)]
        results: dict[str, str | TritonOpsError] = {file.key: self._copy(file, origin) for file, origin in local}
        remote = [file for file in missing.values() if not isinstance(file.origin, Path)]
        return {**results, **self._fetch(remote, on_stored)} if remote else results

    def _fetch(self, files: Sequence[RemoteFile], on_stored: OnStored) -> Mapping[str, str | TritonOpsError]:
        if self._hub.is_offline:
            return {file.key: _offline(file.name) for file in files}
        # Imported here: a run with nothing to fetch does without.
        from tritonops.models.transfer.downloader import Downloader

        downloader = Downloader(
            self._store, self._connect(), self._progress, max_connections=self._max_connections, on_stored=on_stored
        )
        self._store.partial_dir.mkdir(parents=True, exist_ok=True)
        try:
            results = downloader.fetch(files)
        except StorageError as exc:
            raise disk_error(self._store.root, exc.error) from exc
        self.received += downloader.received
        return results

    def _connect(self) -> Transport:
        from tritonops.models.http.transport import Transport

        self._transport = self._transport or Transport(
            max_connections=self._max_connections,
            stall_seconds=self._stall_seconds,
            on_wait=self._progress.warned,
            environ=self._environ,
        )
        return self._transport

    def _list(self, version: ModelVersion, *, is_hashed: Callable[[ModelVersion], bool]) -> Listing | TritonOpsError:
        try:
            if isinstance(version.source, PathSource):
                return list_path(version, version.source, self._store.digests if is_hashed(version) else None)
            if self._hub.is_offline:
                return _offline(version.label)
            return self._list_remote(version)
        except AccessDeniedError as exc:
            if self._hub.is_anonymous:
                exc.hint = "HF_HUB_DISABLE_IMPLICIT_TOKEN is set, so no token was sent."
            return exc
        except TritonOpsError as exc:
            return exc

    def _list_remote(self, version: ModelVersion) -> Listing:
        # Their parsers are needed where a source is asked, which a run with nothing to do does not.
        if isinstance(version.source, HubSource):
            from tritonops.models.sources.hub_listing import list_hub

            return list_hub(version, version.source, self._hub, self._connect())
        from tritonops.models.sources.url_listing import list_url

        assert isinstance(version.source, UrlSource)
        return list_url(version, version.source, self._connect())

    def _copy(self, file: RemoteFile, origin: Path) -> str | TritonOpsError:
        try:
            if file.sha256:
                self._store.copy_in(origin, file.sha256)
            sha256 = file.sha256 or self._store.copy_new(origin)
        except SourceError as exc:
            return exc
        self.received += file.size
        return sha256


def _offline(what: str) -> SourceError:
    return SourceError(
        f"{what} is not stored here, and HF_HUB_OFFLINE forbids to ask for it",
        hint="Unset HF_HUB_OFFLINE to download it.",
    )
