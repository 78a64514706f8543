"""The state of one file: which ranges are left to fetch, where they come from, how far it is hashed."""

from __future__ import annotations

from enum import Enum

from tritonops.errors import SourceError, VerificationError
from tritonops.models.http.address_with_token import Address
from tritonops.models.transfer.byte_range import ByteRange
from tritonops.models.transfer.intervals import Interval, gaps, joined
from tritonops.models.transfer.progress import Transfer
from tritonops.models.transfer.remote_file import RemoteFile
from tritonops.models.transfer.tuning import DEFAULT_TUNING, Tuning


class FileState(Enum):
    """What happens to a file."""

    QUEUED = "queued"
    OPENING = "opening"
    ACTIVE = "active"
    """Its ranges can be claimed."""
    CORRUPT = "corrupt"
    """What has arrived cannot be trusted; it starts over when its ranges in flight have ended."""
    RESETTING = "resetting"
    VERIFYING = "verifying"
    STORED = "stored"
    FAILED = "failed"
    """It is given up; ranges may still be in flight."""


class FileDownload:
    """One file. A plain object: no disk, no socket, no clock, no lock."""

    def __init__(self, file: RemoteFile, tuning: Tuning = DEFAULT_TUNING) -> None:
        self.file, self.state = file, FileState.QUEUED
        self._tuning = tuning
        self._arrived: list[Interval] = []
        self._in_flight: list[ByteRange] = []
        self._hashed = 0
        self._is_hashing = False
        self._attempt = 1
        self._reason = ""
        """Why it is corrupt."""
        self._etag: str | None = None
        self._began = 0.0
        self._earlier = 0
        self.url: Address | None = None
        """Where the bytes are, after redirects; None until a range has found out."""
        self.ignores_range = False
        """Whether one connection has to fetch the whole file."""
        self.idle_seconds = 0.0
        """Seconds without a byte, of a range that is fetched again; its next connection has that much less time."""
        self.error: SourceError | None = None
        self.sha256: str | None = None
        """Set when the file is stored."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state is FileState.STORED or (self.state is FileState.FAILED and not self._in_flight)

    @property
    def result(self) -> str | SourceError:
        """Its SHA-256, or why it failed, when it is over."""
        result = self.sha256 or self.error
        assert result
        return result

    @property
    def is_active(self) -> bool:
        """Whether bytes of it are being fetched."""
        return bool(self._in_flight)

    @property
    def is_unwritable(self) -> bool:
        """Whether writing more to it is pointless."""
        return self.state is not FileState.ACTIVE

    @property
    def received(self) -> int:
        """Bytes that have arrived, in this run or an earlier one."""
        if self.state is FileState.STORED:
            return self.file.size
        settled = sum(end - start for start, end in self._arrived)
        return settled + sum(part.position - part.start for part in self._in_flight)

    def transfer(self, now: float) -> Transfer:
        """What there is to show of it, once it is open."""
        return Transfer(self.file.name, self.file.size, self.received, self._earlier, now - self._began)

    def opened(self, arrived: list[Interval], now: float) -> None:
        """Record that the file on disk is open, with what an earlier run left of it."""
        self._arrived, self._began = arrived, now
        self._earlier = self.received
        self.state = FileState.ACTIVE

    def claim(self, limit: int) -> ByteRange | None:
        """Claim the next range, of about `limit` bytes, that no connection is fetching."""
        if self.state is not FileState.ACTIVE or (self.ignores_range and self._in_flight):
            return None
        for part in self._in_flight:
            # Of many small files at once, most have one range: found out here, before the gaps are listed.
            if part.is_locating or part.end - part.start == self.file.size:
                return None
        taken = [(part.start, part.end) for part in self._in_flight]
        left = gaps(joined([*self._arrived, *taken]), self.file.size)
        if not left:
            return None
        start, end = left[0]
        if self.ignores_range:
            end = self.file.size
        elif end - start > limit + self._tuning.min_range:  # no stub is left over
            end = start + limit
        is_next = start == self._hashed and not self._is_hashing
        self._is_hashing |= is_next
        part = ByteRange(start, end, self.ignores_range, is_hashing=is_next, tuning=self._tuning)
        self._in_flight.append(part)
        self.assign_url(part)
        return part

    @property
    def splittable(self) -> list[ByteRange]:
        """Ranges in flight that another connection may take a part of."""
        if self.state is not FileState.ACTIVE:
            return []
        return [part for part in self._in_flight if part.is_splittable]

    def split(self, part: ByteRange, middle: int) -> ByteRange:
        """Make a range of what another one has left from `middle` on."""
        rest = ByteRange(middle, part.end, tuning=self._tuning)
        part.end = middle
        self._in_flight.append(rest)
        return rest

    def settle(self, part: ByteRange) -> None:
        """End a range, fetched or not; what it did not reach can be claimed again."""
        if part.position > part.start and self.state is not FileState.CORRUPT:
            self._arrived = joined([*self._arrived, (part.start, part.position)])
        self._in_flight.remove(part)
        if part.is_hashing:
            self._is_hashing, self._hashed = False, part.position

    def assign_url(self, part: ByteRange) -> bool:
        """Send a range to where the bytes are, or to find that out. Returns False where it has to come back later."""
        is_being_located = any(other.is_locating for other in self._in_flight if other is not part)
        part.url, part.is_locating = self.url, self.url is None and not is_being_located
        part.requested_end = part.end
        return not (is_being_located or (self.ignores_range and not part.to_end_of_file))

    def set_url(self, part: ByteRange, url: Address) -> None:
        """Record where a range has found the bytes, so that other ranges go there directly."""
        self.url = part.url = url
        part.is_locating = False

    def invalidate_url(self, url: Address | None) -> None:
        """Record that the bytes are not there any more: the next range finds out where they are now."""
        if self.url == url:
            self.url = None

    def check_etag(self, etag: str | None) -> None:
        """Compare a range's ETag with those of the others; another one means that the file has changed."""
        self._etag = self._etag or etag
        if etag and etag != self._etag:
            self.mark_corrupt("the file changed during the download")

    def mark_corrupt(self, reason: str) -> None:
        """Start over as soon as no range is in flight, or give up the second time."""
        if self.state is not FileState.FAILED:
            self.state, self._reason = FileState.CORRUPT, self._reason or reason

    def fail(self, error: SourceError) -> None:
        """Give the file up; a corrupt one is emptied first, so that the next run does not go on from it."""
        self.error = self.error or error
        if self.state is not FileState.CORRUPT:
            self.state = FileState.FAILED

    @property
    def needs_reset(self) -> bool:
        """Whether it is corrupt, and no thread is writing to it or hashing it."""
        return self.state is FileState.CORRUPT and not (self._in_flight or self._is_hashing)

    def reset(self) -> None:
        """Start over, now that the file on disk is empty, or give up the second time."""
        self._arrived, self._hashed = [], 0
        self._etag = self.url = None
        self._attempt += 1
        if self._attempt > self._tuning.max_attempts:
            twice = f"{self.file.name}: {self._reason}, twice in a row; nothing was installed"
            self.error = self.error or VerificationError(twice)
        self.state, self._reason = FileState.FAILED if self.error else FileState.ACTIVE, ""

    def claim_hash(self) -> Interval | None:
        """Claim bytes that have arrived next to the hashed ones; None if there are none, or another thread is at it."""
        if self._is_hashing or self.state is not FileState.ACTIVE:
            return None
        start, end = self._arrived[0] if self._arrived else (0, 0)
        if start > 0 or end <= self._hashed:
            return None
        self._is_hashing = True
        return self._hashed, min(end, self._hashed + self._tuning.max_hashed)

    def hashed(self, interval: Interval) -> None:
        """Record that an interval is hashed."""
        self._is_hashing, self._hashed = False, interval[1]

    @property
    def is_complete(self) -> bool:
        """Whether every byte has arrived and is hashed."""
        return self.state is FileState.ACTIVE and self._hashed == self.file.size and not self._is_hashing

    def verified(self, sha256: str | None) -> None:
        """Record that the file is stored under its SHA-256, or, for None, that it has a wrong hash."""
        if sha256:
            self.sha256, self.state = sha256, FileState.STORED
        else:
            self.mark_corrupt("the bytes that came have another hash than the one known for them")
