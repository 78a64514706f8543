"""models.toml to versions on disk: resolve what is not pinned, fetch what the store lacks, install what is complete."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tritonops.errors import StoreError, TritonOpsError
from tritonops.models.catalog import Catalog, ModelVersion, load_catalog
from tritonops.models.install import adopt, install, is_installed, is_occupied
from tritonops.models.lock import LockedVersion, load_lock, pin_of, save_lock
from tritonops.models.repository import Repository
from tritonops.models.sources import origin, resolve
from tritonops.models.store import Store
from tritonops.settings import Settings


class Progress:
    """What a download reports while it runs; override what you show. Called from the calling thread only."""

    def waiting(self, holder: str) -> None:
        """Another process holds the store."""

    def warned(self, message: str) -> None:
        """Something is not as it should be, and the download goes on."""


@dataclass(frozen=True)
class Failure:
    """One version that could not be had, and why."""

    model: str
    error: str


@dataclass(frozen=True)
class DownloadResult:
    """What a download did, by label ("clip/1"); `bytes` were fetched, `seconds` passed."""

    downloaded: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: tuple[Failure, ...]
    bytes: int
    seconds: float


def download(
    settings: Settings,
    *,
    include: Sequence[str] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> DownloadResult:
    """Bring the models in `include`, or all of them, into the models directory, and pin them in models.lock.

    One version's failure does not keep the others from being done; it is in the result. An installed version with
    other bytes than the pinned ones is replaced only with `overwrite`. Raises CatalogError, UnknownModelError, and
    StoreError where nothing could be done at all.
    """
    progress = progress or Progress()
    catalog = load_catalog(settings.models_toml)
    versions = catalog.select(include)
    with Store(settings.store_dir).locked(progress.waiting):
        return _Download(settings, catalog, progress, overwrite=overwrite).run(versions)


@dataclass
class _Download:
    """One run, and what has come of it so far."""

    settings: Settings
    catalog: Catalog
    progress: Progress
    overwrite: bool
    started: float = field(default_factory=time.monotonic)
    downloaded: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    bytes: int = 0

    def __post_init__(self) -> None:
        self.store = Store(self.settings.store_dir)
        self.repository = Repository(self.settings.models_dir)
        self.lock = load_lock(self.settings.lock_path)

    def run(self, versions: Sequence[ModelVersion]) -> DownloadResult:
        pins = dict(self.lock)
        for version in versions:
            try:
                pins[version.label] = self._bring(version)
            except TritonOpsError as exc:
                self.failed.append(Failure(version.label, str(exc)))
        self._save(pins)
        return DownloadResult(
            tuple(self.downloaded),
            tuple(self.skipped),
            tuple(self.failed),
            self.bytes,
            round(time.monotonic() - self.started, 3),
        )

    def _bring(self, version: ModelVersion) -> LockedVersion:
        pin = pin_of(version, self.lock, self.catalog.path) or resolve(version, self.catalog.path)
        if is_installed(self.store, pin, self.repository):
            self.skipped.append(version.label)
        elif adopt(self.store, pin, self.repository):
            install(self.store, pin, self.repository)
            self.skipped.append(version.label)
        else:
            self._refuse_to_replace(pin)
            self._fetch(version, pin)
            install(self.store, pin, self.repository)
            self.downloaded.append(version.label)
        return pin

    def _fetch(self, version: ModelVersion, pin: LockedVersion) -> None:
        for file in pin.files:
            if not self.store.has(file.sha256):
                self.store.copy_in(origin(version, file).path, file.sha256)
                self.bytes += file.size

    def _refuse_to_replace(self, pin: LockedVersion) -> None:
        if is_occupied(pin, self.repository) and not self.overwrite:
            place = self.repository.version_dir(pin.name, pin.version)
            raise StoreError(f"{place} holds other files than the pinned ones; --overwrite replaces them")

    def _save(self, pins: dict[str, LockedVersion]) -> None:
        wanted = [pins[version.label] for version in self.catalog.versions if version.label in pins]
        if {pin.label: pin for pin in wanted} == self.lock:
            return
        try:
            save_lock(self.settings.lock_path, wanted)
        except OSError as exc:
            self.progress.warned(f"cannot write {self.settings.lock_path} ({exc.strerror}): nothing is pinned")
