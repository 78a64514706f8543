"""Many files over many connections at once: large ones in several pieces, verified while they arrive."""

from __future__ import annotations

import mmap
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from tritonops.errors import AccessDeniedError, SourceError
from tritonops.models.disk.store import Store, disk_error
from tritonops.models.http.address import Address
from tritonops.models.http.errors import StoppedError, TransientError
from tritonops.models.http.headers import content_length, content_range
from tritonops.models.http.response import Response
from tritonops.models.http.retries import Retries
from tritonops.models.http.transport import Transport
from tritonops.models.http.watchdog import MIN_SPEED
from tritonops.models.transfer.byte_range import MAX_PIECE, MAX_READ, MIN_PIECE, Piece
from tritonops.models.transfer.file_download import Assembly
from tritonops.models.transfer.partial_file import Interval
from tritonops.models.transfer.progress import Progress, Transfer
from tritonops.models.transfer.remote_file import RemoteFile
from tritonops.models.transfer.worker_pool import FIRST, Crew

FAR_SECONDS = 0.01
"""Where the server answers later than that, all connections are needed, and none is too many at the beginning."""
WORTH_DIVIDING_SECONDS = 0.02
"""What is left of a piece has to take that long, or four round trips, for another connection to take half of it."""
BEGUN_AHEAD = 16
"""So many of the largest files are begun before one of them gets a second connection: finding out where a file is takes
several round trips, and at the end of a download nothing else would hide them."""

Job = tuple[Assembly, Piece | Interval | None]
"""A file, and what is to be done: to fetch a piece, to hash an interval, or, for None, to open it first."""
OnStored = Callable[[Sequence[str]], None]
"""Called, in the thread that called `fetch`, with the keys of files that the store has since the last call."""


class _TryAgainError(Exception):
    """The piece is fetched again: what was learned about the server changes how it is fetched."""


class Engine:
    """Fetches files into the store; one for each download."""

    def __init__(
        self, store: Store, transport: Transport, progress: Progress, *, max_connections: int, on_stored: OnStored
    ) -> None:
        self._store, self._transport, self._progress, self._max_connections = (
            store,
            transport,
            progress,
            max_connections,
        )
        self._on_stored = on_stored
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._assemblies: list[Assembly] = []
        self._new: deque[Assembly] = deque()
        """Files whose turn has not come, the largest first."""
        self._begun: list[Assembly] = []
        """Files that are under way."""
        self._finished: deque[tuple[Transfer, str]] = deque()
        self._total = 0
        self._crew: Crew
        self.received = 0
        """Bytes of files that this run brought, in whole or in part."""
        self._fatal: BaseException | None = None

    def fetch(self, wanted: Sequence[RemoteFile]) -> dict[str, str | SourceError]:
        """Fetch files; the answer maps each one's key to its SHA-256, or to why it could not be had.

        Raises StoreError where the disk is full or broken, and KeyboardInterrupt within a second; either way,
        what has arrived stays for the next run.
        """
        unique = {one.key: one for one in wanted}
        assemblies = [Assembly(one, self._store) for one in unique.values()]
        self._assemblies = sorted(assemblies, key=lambda assembly: -assembly.wanted.size)
        self._new.extend(self._assemblies)
        self._total = sum(one.size for one in unique.values())
        self._store.partial_dir.mkdir(parents=True, exist_ok=True)
        pieces = sum(1 + one.size // MIN_PIECE for one in unique.values())
        self._crew = Crew(self._work, most=min(self._max_connections, pieces))
        self._crew.start(self._max_connections if self._is_far else FIRST)
        try:
            self._watch()
        finally:
            self._stop()
        if self._fatal and not isinstance(self._fatal, StoppedError):
            raise self._fatal
        return {assembly.wanted.key: assembly.outcome for assembly in assemblies}

    @property
    def _is_far(self) -> bool | None:
        """Whether the server takes its time to answer; None where nobody has asked it anything yet."""
        wait = self._transport.shortest_wait
        return wait > FAR_SECONDS if wait is not None else None

    def _watch(self) -> None:
        """Report until all is over, while the crew grows to what the line takes."""
        while not self._over.wait(self._crew.patience):
            self._crew.grow()
            self._report()
            with self._changed:
                self._changed.notify()  # a connection may have become slow since somebody looked
        self._report()

    def _report(self) -> None:
        keys = []
        while self._finished:
            transfer, key = self._finished.popleft()
            self._progress.arrived(transfer)
            keys.append(key)
        if keys:
            self._on_stored(keys)
        with self._changed:
            active = [assembly.transfer for assembly in self._assemblies if assembly.is_active]
            received = sum(assembly.received for assembly in self._assemblies)
        self._progress.moved(active, received, self._total)

    def _stop(self) -> None:
        """Let no thread write any more. One that hangs in a connect is left behind: it has no piece to write to."""
        self._transport.close()
        self._end(StoppedError())
        if self._crew.is_gone_in(seconds=0.5):
            for assembly in self._assemblies:
                assembly.close()

    def _work(self) -> None:
        try:
            buffer = memoryview(mmap.mmap(-1, MAX_READ))  # memory that is not taken before it is used
            while job := self._next_job():
                assembly, todo = job
                todo = todo or self._open_file(assembly)
                if isinstance(todo, Piece):
                    self._fetch(todo, buffer)
                elif todo:
                    self._hash(assembly, todo, buffer)
        except StoppedError:
            pass
        except OSError as exc:
            self._end(disk_error(self._store.root, exc))
        except BaseException as exc:  # a bug must not look like a file that is still under way
            self._end(exc)

    def _end(self, error: BaseException) -> None:
        with self._changed:
            self._fatal = self._fatal or error
            self._over.set()
            self._changed.notify_all()

    def _next_job(self) -> Job | None:
        """Wait for something to do; None when everything is over.

        Whoever finds a job wakes one other to look for one: to wake all of them each time costs more than the jobs.
        """
        with self._changed:
            while self._fatal is None and (self._new or self._begun):
                if job := self._find_job():
                    self._changed.notify()
                    return job
                self._changed.wait()
        return None

    def _find_job(self) -> Job | None:
        for assembly in self._begun:
            if interval := assembly.next_to_hash():
                return assembly, interval
        if self._new and len(self._begun) < BEGUN_AHEAD:
            return self._begin()
        share = self._share
        # Files that no connection is at come first: two threads that write to one file wait for each other.
        for assembly in sorted(self._begun, key=lambda assembly: assembly.is_active):
            if piece := assembly.claim(share):
                return assembly, piece
        if self._new:
            return self._begin()
        part = self._part_of_the_slowest()
        return (part.assembly, part) if part else None

    @property
    def _share(self) -> int:
        """Bytes of a piece: as much for each connection that may be needed, since every request costs a round trip."""
        connections = self._crew.size if self._is_far is False else self._max_connections
        return max(MIN_PIECE, min(MAX_PIECE, self._total // connections))

    def _part_of_the_slowest(self) -> Piece | None:
        """Take over half of what a connection has left that would be the last: all finish together."""
        now = time.monotonic()
        worth = max(WORTH_DIVIDING_SECONDS, 4 * (self._transport.shortest_wait or 0.0))
        pieces = [piece for assembly in self._begun for piece in assembly.divisible if piece.seconds_left(now) > worth]
        slowest = max(pieces, key=lambda piece: piece.seconds_left(now), default=None)
        return slowest.assembly.divide(slowest) if slowest and not slowest.is_behind else None

    def _begin(self) -> Job:
        """Take the next file; the first job is to open it, without the lock: a disk may take its time to make one."""
        assembly = self._new.popleft()
        self._begun.append(assembly)
        return assembly, None

    def _open_file(self, assembly: Assembly) -> Piece | Interval | None:
        """Open a file, and take its first piece; None where another thread was faster."""
        assembly.open()
        with self._changed:
            self._changed.notify()
            return assembly.next_to_hash() or assembly.claim(self._share)

    def _note(self, assembly: Assembly) -> None:
        """Finish a file that is complete, and take one that is over off the list."""
        if assembly.is_complete:
            transfer = assembly.transfer
            assembly.finish()
            if assembly.sha256:
                self._finished.append((transfer, assembly.wanted.key))
        if assembly.is_over and assembly in self._begun:
            self._begun.remove(assembly)
            if not (self._begun or self._new):
                self._over.set()
                self._changed.notify_all()

    def _hash(self, assembly: Assembly, interval: Interval, buffer: memoryview) -> None:
        assembly.hash_ahead(interval, buffer)
        with self._changed:
            assembly.hashed(interval)
            self._note(assembly)

    def _fetch(self, piece: Piece, buffer: memoryview) -> None:
        assembly = piece.assembly
        try:
            self._fetch_patiently(piece, buffer)
        except _TryAgainError:
            pass
        except SourceError as exc:
            with self._changed:
                assembly.fail(exc)
        finally:
            with self._changed:
                self.received += piece.at - piece.start
                assembly.settle(piece)
                self._note(assembly)

    def _fetch_patiently(self, piece: Piece, buffer: memoryview) -> None:
        assembly, before = piece.assembly, piece.at
        retries = self._transport.retries(assembly.wanted.name, idle_seconds=assembly.idle_seconds)
        assembly.idle_seconds = 0.0
        while piece.at < piece.end:
            try:
                self._fetch_once(piece, buffer, retries)
            except TransientError as exc:
                # A server that gives a few bytes to each request makes no progress either.
                if piece.at - before >= MIN_SPEED * retries.seconds and piece.at > before:
                    before = piece.at
                    retries.progressed()
                retries.pause(exc)
            except _TryAgainError:
                if retries.has_failed and piece.at - before < MIN_SPEED * retries.seconds:
                    assembly.idle_seconds = retries.seconds  # what is tried otherwise is not a new beginning
                raise

    def _fetch_once(self, piece: Piece, buffer: memoryview, retries: Retries) -> None:
        with self._open(piece, retries) as response:
            piece.begin(response)
            self._copy(response, piece, buffer, skip=piece.at if response.status == 200 else 0)

    def _copy(self, response: Response, piece: Piece, buffer: memoryview, *, skip: int) -> None:
        """Write the body to the file; its first `skip` bytes are there already."""
        while piece.at < piece.end and not piece.assembly.is_spoiled:
            started = time.monotonic()
            count = response.read_into(buffer[: min(piece.room, skip or piece.end - piece.at)])
            if count == 0:
                raise TransientError("the connection ended early")
            if skip:
                skip -= count
                continue
            if piece.is_hashing:
                piece.assembly.digest(buffer[:count])
            piece.assembly.partial.write(piece.at, buffer[:count])
            piece.advance(count, time.monotonic() - started)
        if piece.at < piece.end:
            raise _TryAgainError

    def _open(self, piece: Piece, retries: Retries) -> Response:
        """Ask for what is left of a piece, and check that this is what is answered."""
        assembly = piece.assembly
        is_whole = piece.at == 0 and (piece.is_only or piece.end == assembly.wanted.size <= MIN_PIECE)
        headers = {} if is_whole else {"Range": f"bytes={piece.at}-{piece.end - 1}"}
        with self._changed:
            if not assembly.direct(piece):
                raise _TryAgainError
        response = self._checked(self._open_there(piece, headers, retries), piece)
        self._located(piece, response.address)
        return response

    def _open_there(self, piece: Piece, headers: Mapping[str, str], retries: Retries) -> Response:
        address = piece.assembly.wanted.origin
        assert isinstance(address, Address)
        try:
            if piece.location:
                return self._transport.open(piece.location, retries, headers)
            return self._transport.open(address, retries, headers, lambda found: self._located(piece, found))
        except AccessDeniedError as exc:
            if piece.location in (None, address):
                raise
            with self._changed:
                piece.assembly.lost(piece.location)
            raise TransientError("the signed URL has expired", delay=0.0) from exc

    def _located(self, piece: Piece, location: Address) -> None:
        with self._changed:
            if piece.is_locating:
                piece.assembly.located(piece, location)
                self._changed.notify()

    def _checked(self, response: Response, piece: Piece) -> Response:
        try:
            self._check(response, piece)
        except SourceError as exc:
            response.close()
            raise SourceError(f"{piece.assembly.wanted.name}: {exc}") from exc
        except BaseException:
            response.close()
            raise
        return response

    def _check(self, response: Response, piece: Piece) -> None:
        """Refuse an answer that is not the bytes that were asked for."""
        assembly, size = piece.assembly, piece.assembly.wanted.size
        total = content_length(response.headers)
        if response.status == 206:
            found = content_range(response.headers)
            if found.start != piece.at:
                raise SourceError("the server sent other bytes than the ones that were asked for")
            total = found.total
        elif not piece.is_only and piece.end - piece.at < size:
            assembly.in_one_piece = True
            raise _TryAgainError
        if total is not None and total != size:
            raise SourceError(f"it is {total:,} bytes long there, and {size:,} are expected")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise SourceError("the server sent it compressed, which was not asked for")
        with self._changed:
            assembly.note_etag(response.headers.get("ETag"))
            if assembly.is_spoiled:
                raise _TryAgainError
