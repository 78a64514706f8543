"""models.toml to versions on disk: list what is not pinned, fetch what the store lacks, install what is complete."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import PartialFailureError, TritonOpsError
from tritonops.models.catalog import Catalog, ModelVersion, load_catalog
from tritonops.models.fetch import JOBS, Supply
from tritonops.models.install import adopt, install, is_installed, is_occupied
from tritonops.models.lock import Lock, LockedVersion, load_lock, pin_of, save_lock
from tritonops.models.progress import Progress
from tritonops.models.repository import Repository
from tritonops.models.sources import Hub, Listing
from tritonops.models.store import Store
from tritonops.settings import Settings


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
    jobs: int | None = None,
    progress: Progress | None = None,
) -> DownloadResult:
    """Bring the models in `include`, or all of them, into the models directory, and pin them in models.lock.

    One version's failure does not keep the others from being done; it is in the result. An installed version with
    other bytes than the pinned ones is replaced only with `overwrite`. Raises CatalogError and UnknownModelError, and
    StoreError where the disk is full or cannot be written: then, as after kill -9, the next run goes on from there.
    """
    started = time.monotonic()
    progress = progress or Progress()
    catalog = load_catalog(settings.models_toml)
    versions = catalog.select(include)
    store = Store(settings.store_dir)
    hub = Hub(settings.hf_endpoint, settings.hf_token)
    with store.locked(progress.waiting), Supply(store, hub, progress, jobs=jobs or JOBS) as supply:
        run = _Run(settings, catalog, supply, overwrite=overwrite)
        run.bring(versions)
        _save(settings.lock_path, catalog, run.pins, progress)
    seconds = round(time.monotonic() - started, 3)
    failed = tuple(Failure(label, error) for label, error in run.failed.items())
    return DownloadResult(tuple(run.downloaded), tuple(run.skipped), failed, supply.received, seconds)


def raise_unless_done(result: DownloadResult) -> None:
    """Raise PartialFailureError with what failed; for a caller whose exit code depends on it."""
    if result.failed:
        failures = {failure.model: failure.error for failure in result.failed}
        raise PartialFailureError("not everything was downloaded", failures)


class _Run:
    """One download, under the store's lock, and what has come of it."""

    def __init__(self, settings: Settings, catalog: Catalog, supply: Supply, *, overwrite: bool) -> None:
        self._catalog, self._supply, self._overwrite = catalog, supply, overwrite
        self._store = Store(settings.store_dir)
        self._repository = Repository(settings.models_dir)
        self._lock = load_lock(settings.lock_path)
        self.pins = dict(self._lock)
        self.downloaded: list[str] = []
        self.skipped: list[str] = []
        self.failed: dict[str, str] = {}

    def bring(self, versions: Sequence[ModelVersion]) -> None:
        """Bring these versions to disk."""
        listings = self._listings(versions)
        lacking = [listing for listing in listings if not self._is_settled(self._pinned(listing, {}))]
        outcomes = self._supply.fetch(lacking)
        for listing in lacking:
            pin = self._pinned(listing, outcomes)
            if not self._is_settled(pin) and not self._has_failed(listing, outcomes):
                assert pin
                install(self._store, pin, self._repository)
                self.downloaded.append(pin.label)

    def _listings(self, versions: Sequence[ModelVersion]) -> list[Listing]:
        """Read what is pinned from the lock, and ask the sources of the rest."""
        pins = {version.label: pin_of(version, self._lock, self._catalog.path) for version in versions}
        answers = self._supply.list([version for version in versions if pins[version.label] is None])
        for version in versions:
            if pin := pins[version.label]:
                answers[version.label] = self._supply.list_pinned(version, pin)
        errors = {label: answer for label, answer in answers.items() if isinstance(answer, TritonOpsError)}
        self.failed |= {label: worded(error) for label, error in errors.items()}
        return [answer for answer in answers.values() if isinstance(answer, Listing)]

    def _pinned(self, listing: Listing, outcomes: Mapping[str, str | TritonOpsError]) -> LockedVersion | None:
        """Pin a version, as soon as the hashes of all its files are known."""
        sha256s = {key: sha256 for key, sha256 in outcomes.items() if isinstance(sha256, str)}
        pin = listing.locked(self._catalog.path, sha256s)
        if pin:
            self.pins[pin.label] = pin
        return pin

    def _is_settled(self, pin: LockedVersion | None) -> bool:
        """Whether nothing is to be done for a version: it is there, or it may not be replaced."""
        if pin is None:
            return False
        if is_installed(self._store, pin, self._repository):
            self.skipped.append(pin.label)
        elif adopt(self._store, pin, self._repository):
            install(self._store, pin, self._repository)
            self.skipped.append(pin.label)
        elif is_occupied(pin, self._repository) and not self._overwrite:
            place = self._repository.version_dir(pin.name, pin.version)
            self.failed[pin.label] = f"{place} holds other files than the pinned ones; --overwrite replaces them"
        else:
            return False
        return True

    def _has_failed(self, listing: Listing, outcomes: Mapping[str, str | TritonOpsError]) -> bool:
        errors = [error for file in listing.files if isinstance(error := outcomes.get(file.key), TritonOpsError)]
        if errors:
            self.failed[listing.version.label] = worded(errors[0])
        return bool(errors)


def _save(path: Path, catalog: Catalog, pins: Lock, progress: Progress) -> None:
    """Write models.lock where it changes, without what models.toml no longer has."""
    wanted = {version.label: pins[version.label] for version in catalog.versions if version.label in pins}
    if wanted == load_lock(path):
        return
    try:
        save_lock(path, wanted.values())
    except OSError as exc:
        progress.warned(f"cannot write {path} ({exc.strerror}): nothing is pinned")


def worded(error: TritonOpsError) -> str:
    """Join an error's message and its hint to one line."""
    return f"{error}. {error.hint}" if error.hint else str(error)
