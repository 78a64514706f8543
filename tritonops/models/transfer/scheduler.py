"""What each connection does next, and how many connections there are."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from tritonops.errors import SourceError
from tritonops.models.http.address_with_token import Address
from tritonops.models.transfer.byte_range import ByteRange, Connection
from tritonops.models.transfer.connection_ramp import Ramp
from tritonops.models.transfer.file_download import FileDownload, FileState
from tritonops.models.transfer.intervals import Interval
from tritonops.models.transfer.progress import Transfer
from tritonops.models.transfer.remote_file import RemoteFile
from tritonops.models.transfer.tuning import DEFAULT_TUNING, Tuning


class Action(Enum):
    """What a worker does with a file."""

    OPEN = "open"
    FETCH = "fetch"
    HASH = "hash"
    STORE = "store"
    """Check its hash, and store it."""
    RESET = "reset"
    """Discard what has arrived."""


class Job(NamedTuple):
    """Something for one worker to do."""

    action: Action
    download: FileDownload
    part: ByteRange | None = None
    interval: Interval = (0, 0)


class Scheduler:
    """A plain object: no thread, no socket, no clock of its own. `now` is in seconds, as time.monotonic() is.

    A worker takes a job, does it, and reports the result; its methods are called under one lock.
    """

    def __init__(
        self,
        files: Sequence[RemoteFile],
        *,
        max_connections: int,
        round_trip: float | None = None,
        tuning: Tuning = DEFAULT_TUNING,
    ) -> None:
        self.downloads = [FileDownload(file, tuning) for file in files]
        self.round_trip = round_trip
        """Seconds from a request to its answer, at best; None before the first one."""
        self.total = sum(file.size for file in files)
        self.received = 0
        """Bytes that this run has fetched."""
        self._tuning, self._max_connections = tuning, max_connections
        self._queue = deque(sorted(self.downloads, key=lambda download: -download.file.size))
        """Files that are not begun, the largest first."""
        self._begun: list[FileDownload] = []
        self._jobs: deque[Job] = deque()
        """Jobs that come before all others: with them a file is done."""
        self._stored: list[Transfer] = []
        self._stored_keys: list[str] = []
        self._overshoot: dict[ByteRange, int] = {}
        """Bytes that servers may send behind the ends of ranges that were split."""
        ranges = sum(1 + file.size // tuning.min_range for file in files)
        first = max_connections if self._is_far else tuning.first_workers
        self.ramp = Ramp(min(max_connections, ranges), first=first, tuning=tuning)
        """How many workers, each with a connection, there are."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return not (self._begun or self._queue)

    @property
    def _is_far(self) -> bool | None:
        """Whether the server takes its time to answer; None before it was asked anything."""
        return self.round_trip > self._tuning.far_seconds if self.round_trip is not None else None

    @property
    def range_size(self) -> int:
        """Bytes of a range: a share for each connection that may be needed, since each request costs a round trip."""
        connections = self.ramp.workers if self._is_far is False else self._max_connections
        return max(self._tuning.min_range, min(self._tuning.max_range, self.total // connections))

    def next_job(self, now: float) -> Job | None:
        """Return the next job; None where there is none at present."""
        if self._jobs:
            return self._jobs.popleft()
        for download in self._begun:
            if interval := download.claim_hash():
                return Job(Action.HASH, download, interval=interval)
        if self._queue and len(self._begun) < self._tuning.begun_ahead:
            return self._begin()
        size = self.range_size
        # Files without a connection come first: two threads that write to one file wait for each other.
        for download in sorted(self._begun, key=lambda download: download.is_active):
            if part := download.claim(size):
                return Job(Action.FETCH, download, part)
        return self._begin() if self._queue else self._split_slowest(now)

    def _begin(self) -> Job:
        download = self._queue.popleft()
        download.state = FileState.OPENING
        self._begun.append(download)
        return Job(Action.OPEN, download)

    def _split_slowest(self, now: float) -> Job | None:
        """Take over half of what the slowest connection has left: all finish together."""
        worth = max(self._tuning.split_seconds, self._tuning.split_round_trips * (self.round_trip or 0.0))
        candidates = [
            (seconds, index, part, download)
            for index, download in enumerate(self._begun)
            for part in download.splittable
            if (seconds := part.seconds_left(now)) > worth
        ]
        if not candidates:
            return None
        _, _, slowest, download = max(candidates, key=lambda candidate: candidate[:2])
        middle = slowest.split_point()
        if middle is None or not self._allows_overshoot(slowest, middle):
            return None
        rest = download.split(slowest, middle)
        download.assign_url(rest)
        return Job(Action.FETCH, download, rest)

    def _allows_overshoot(self, part: ByteRange, end: int) -> bool:
        """Whether servers send little enough twice if a range ends earlier than its connection was asked to send."""
        overshoot = part.overshoot(end)
        others = sum(self._overshoot.values()) - self._overshoot.get(part, 0)
        if others + overshoot > self._tuning.max_overshoot * self.total:
            return False
        self._overshoot[part] = overshoot
        return True

    def opened(self, download: FileDownload, arrived: list[Interval], now: float) -> Job | None:
        """Record that a file is open; returns its first job."""
        download.opened(arrived, now)
        self._check(download)
        if download.state is not FileState.ACTIVE:
            return None
        if interval := download.claim_hash():
            return Job(Action.HASH, download, interval=interval)
        part = download.claim(self.range_size)
        return Job(Action.FETCH, download, part) if part else None

    def located(self, download: FileDownload, part: ByteRange, url: Address, round_trip: float | None) -> bool:
        """Record where a range has found its file; returns whether other ranges have waited for that."""
        self.round_trip = round_trip
        was_locating = part.is_locating
        if was_locating:
            download.set_url(part, url)
        return was_locating

    def connected(
        self, download: FileDownload, part: ByteRange, connection: Connection, etag: str | None, now: float
    ) -> bool:
        """Record that a server answers with the bytes of a range; returns whether they may be written."""
        part.connected(connection, now)
        download.check_etag(etag)
        return not download.is_unwritable

    def range_ignored(self, download: FileDownload) -> None:
        """Record that the server of a file ignores Range: one connection fetches it as a whole."""
        download.ignores_range = True

    def failed(self, download: FileDownload, error: SourceError) -> None:
        """Give a file up; its ranges are settled as their workers notice."""
        download.fail(error)

    def hashed(self, download: FileDownload, interval: Interval) -> None:
        """Record that an interval is hashed."""
        download.hashed(interval)
        self._check(download)

    def settle(self, download: FileDownload, part: ByteRange) -> None:
        """End a range, fetched or not."""
        self.received += part.position - part.start
        download.settle(part)
        self._check(download)

    def stored(self, download: FileDownload, sha256: str | None, now: float) -> None:
        """Record that a file is stored; for None, that it has a wrong hash."""
        transfer = download.transfer(now)
        download.verified(sha256)
        if sha256:
            self._stored.append(transfer)
            self._stored_keys.append(download.file.key)
        self._check(download)

    def reset(self, download: FileDownload) -> None:
        """Record that a corrupt file was emptied."""
        download.reset()
        self._check(download)

    def take_stored(self) -> tuple[list[Transfer], list[str]]:
        """Return the files that were stored since the last call, and their keys."""
        stored = self._stored, self._stored_keys
        self._stored, self._stored_keys = [], []
        return stored

    def progress(self, now: float) -> tuple[list[Transfer], int]:
        """Return the files that are being fetched, the largest first, and how many bytes have arrived."""
        active = sorted((each for each in self._begun if each.is_active), key=lambda each: -each.file.size)
        return [each.transfer(now) for each in active], sum(each.received for each in self.downloads)

    def _check(self, download: FileDownload) -> None:
        """Find out whether a file has come to an end, or to its next step."""
        if download.is_complete:
            download.state = FileState.VERIFYING
            self._jobs.append(Job(Action.STORE, download))
        elif download.needs_reset:
            download.state = FileState.RESETTING
            self._jobs.append(Job(Action.RESET, download))
        elif download.is_over and download in self._begun:
            self._begun.remove(download)
