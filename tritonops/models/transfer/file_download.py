"""One file being put together from pieces: which are left to fetch, where they come from, how far it is verified."""

from __future__ import annotations

import hashlib
import time

from tritonops.errors import SourceError, VerificationError
from tritonops.models.disk.store import Store
from tritonops.models.http.address import Address
from tritonops.models.transfer.byte_range import MIN_PIECE, Piece
from tritonops.models.transfer.partial_file import Interval, Partial, gaps, joined
from tritonops.models.transfer.progress import Transfer
from tritonops.models.transfer.remote_file import RemoteFile

MAX_HASHED = 16 << 20
MAX_STARTS = 2
"""Bytes that turn out wrong are fetched once more; then the source is wrong, not the way."""


class Assembly:
    """The state of one file.

    Its methods are called under the engine's lock, but for `open`, `digest` and `hash_ahead`.
    """

    def __init__(self, wanted: RemoteFile, store: Store) -> None:
        self.wanted = wanted
        self._store = store
        self._partial: Partial | None = None
        self._arrived: list[Interval] = []
        self._in_flight: list[Piece] = []
        self._hashed = 0
        self._hashing = False
        self._starts = 1
        self._spoiled: str | None = None
        self._digests = self._new_digests()
        self._etag: str | None = None
        self._began = 0.0
        self._earlier = 0
        self.location: Address | None = None
        """Where the bytes are, after redirects; None until a piece has found out."""
        self.in_one_piece = False
        """The server ignores Range: one connection fetches the whole file."""
        self.idle_seconds = 0.0
        """Seconds without a byte of a piece that is fetched again; its next connection has that much less time."""
        self.error: SourceError | None = None
        self.sha256: str | None = None
        """Set when the file is in the store."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.sha256 is not None or (self.error is not None and not self._in_flight)

    @property
    def outcome(self) -> str | SourceError:
        """What came of it, when it is over."""
        outcome = self.sha256 or self.error
        assert outcome
        return outcome

    @property
    def partial(self) -> Partial:
        """The file on disk, opened with the first piece."""
        assert self._partial is not None
        return self._partial

    @property
    def received(self) -> int:
        """Bytes that are here."""
        if self.sha256 is not None:
            return self.wanted.size
        settled = sum(end - start for start, end in self._arrived)
        return settled + sum(piece.at - piece.start for piece in self._in_flight)

    @property
    def transfer(self) -> Transfer:
        """What there is to show of it, once it is open."""
        seconds = time.monotonic() - self._began
        return Transfer(self.wanted.name, self.wanted.size, self.received, self._earlier, seconds)

    @property
    def is_active(self) -> bool:
        """Whether bytes of it are being fetched."""
        return bool(self._in_flight)

    def open(self) -> None:
        """Open the file on disk, with what an earlier run left of it. Raises OSError where there is no space.

        Called without the lock, once; until then nothing of the file can be claimed.
        """
        partial = Partial(self._store.partial(self.wanted.key), self.wanted.size)
        self._arrived = partial.arrived()
        self._began, self._earlier = time.monotonic(), self.received
        self._partial = partial

    def claim(self, limit: int) -> Piece | None:
        """Take the next piece, of about `limit` bytes, that nobody is fetching."""
        if self._partial is None or self.is_spoiled or (self.in_one_piece and self._in_flight):
            return None
        for piece in self._in_flight:
            # With many small files at once, most are looked at in vain, again and again.
            if piece.is_locating or piece.end - piece.start == self.wanted.size:
                return None
        taken = [(piece.start, piece.end) for piece in self._in_flight]
        open_gaps = gaps(joined([*self._arrived, *taken]), self.wanted.size)
        if not open_gaps:
            return None
        start, end = open_gaps[0]
        if self.in_one_piece:
            end = self.wanted.size
        elif end - start > limit + MIN_PIECE:  # no stub is left over
            end = start + limit
        is_next = start == self._hashed and not self._hashing
        self._hashing |= is_next
        piece = Piece(self, start, end, self.in_one_piece, is_locating=self.location is None, is_hashing=is_next)
        self._in_flight.append(piece)
        return piece

    @property
    def divisible(self) -> list[Piece]:
        """Pieces under way that another connection may take a part of."""
        return [piece for piece in self._in_flight if piece.is_divisible and not self.is_spoiled]

    def divide(self, piece: Piece) -> Piece:
        """Take over the second half of what a piece has left."""
        middle = (piece.at + piece.end) // 2
        part = Piece(self, middle, piece.end)
        piece.end = middle
        self._in_flight.append(part)
        return part

    def settle(self, piece: Piece) -> None:
        """Take back a piece, fetched or not; what it did not reach can be claimed again."""
        if piece.at > piece.start and not self._spoiled:
            self._arrived = joined([*self._arrived, (piece.start, piece.at)])
        self._in_flight.remove(piece)
        if piece.is_hashing:
            self._hashing, self._hashed = False, piece.at
        self._start_over_if_spoiled()

    def direct(self, piece: Piece) -> bool:
        """Send a piece to where the bytes are, or to find that out. Returns False where it has to come back later."""
        is_being_located = any(other.is_locating for other in self._in_flight if other is not piece)
        piece.location, piece.is_locating = self.location, self.location is None and not is_being_located
        return not (is_being_located or (self.in_one_piece and not piece.is_only))

    def located(self, piece: Piece, location: Address) -> None:
        """Note where a piece has found the bytes, so that other pieces go there directly."""
        self.location = piece.location = location
        piece.is_locating = False

    def lost(self, location: Address | None) -> None:
        """Note that the bytes are not there any more: the next piece finds out where they are now."""
        if self.location == location:
            self.location = None

    def fail(self, error: SourceError) -> None:
        """Give the file up."""
        self.error = self.error or error

    def note_etag(self, etag: str | None) -> None:
        """Compare a piece's ETag with those of the others: another one means that the file changed under way."""
        self._etag = self._etag or etag
        if etag and etag != self._etag:
            self.spoil("the file changed under way")

    def spoil(self, reason: str) -> None:
        """What has arrived cannot be trusted: start over as soon as nobody is writing, or give up the second time."""
        self._spoiled = self._spoiled or reason

    @property
    def is_spoiled(self) -> bool:
        """Whether writing more to it is pointless."""
        return self._spoiled is not None or self.error is not None

    def next_to_hash(self) -> Interval | None:
        """Claim bytes that have arrived next to the hashed ones; None if there are none, or another thread is at it."""
        if self._partial is None or self._hashing or self.is_spoiled:
            return None
        start, end = self._arrived[0] if self._arrived else (0, 0)
        if start > 0 or (end <= self._hashed and self.wanted.size > 0):
            return None
        self._hashing = True
        return self._hashed, min(end, self._hashed + MAX_HASHED)

    def hash_ahead(self, interval: Interval, buffer: memoryview) -> None:
        """Hash an interval, most of it still in the page cache. Called without the lock."""
        at, end = interval
        while at < end:
            count = self.partial.read(at, buffer[: end - at])
            self.digest(buffer[:count])
            at += count

    def hashed(self, interval: Interval) -> None:
        """Note what `hash_ahead` has hashed."""
        self._hashing, self._hashed = False, interval[1]
        self._start_over_if_spoiled()

    def digest(self, data: memoryview) -> None:
        """Hash the next bytes. Called without the lock, by the one thread that has claimed them for hashing."""
        for digest in self._digests.values():
            digest.update(data)

    @property
    def is_complete(self) -> bool:
        """Whether every byte is here and hashed, so that `finish` is due."""
        return self._partial is not None and self._hashed == self.wanted.size and not (self._hashing or self.is_spoiled)

    def finish(self) -> None:
        """Check the hash, and move the file into the store or start over."""
        found = {name: digest.hexdigest() for name, digest in self._digests.items()}
        sha256 = found["sha256"]
        if sha256 == self.wanted.sha256 or (self.wanted.sha256 is None and found["git"] == self.wanted.git_oid):
            self._store.keep(self.partial.finish(), sha256)
            self._partial, self.sha256 = None, sha256
        else:
            self.spoil("the bytes that came have another hash than the one known for them")
            self._start_over_if_spoiled()

    def close(self) -> None:
        """Let go of the file; what has arrived stays for the next run."""
        if self._partial is not None:
            self._partial.close()
            self._partial = None

    def _start_over_if_spoiled(self) -> None:
        if self._spoiled is None or self._in_flight or self._hashing:
            return
        self.partial.reset()
        self._arrived, self._hashed, self._digests = [], 0, self._new_digests()
        self._etag = self.location = None
        self._starts += 1
        if self._starts > MAX_STARTS:
            self.fail(VerificationError(f"{self.wanted.name}: {self._spoiled}, twice in a row; nothing was installed"))
        self._spoiled = None

    def _new_digests(self) -> dict[str, hashlib._Hash]:
        digests = {"sha256": hashlib.sha256()}
        if self.wanted.sha256 is None:
            # What git names the file by: not for secrecy, but it is the only hash that the Hub has of a small file.
            digests["git"] = hashlib.sha1(f"blob {self.wanted.size}\0".encode(), usedforsecurity=False)
        return digests
