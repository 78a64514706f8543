"""A simulated network for the scheduler: no threads, no sockets, no real time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tritonops.models.http.address_with_token import Address
from tritonops.models.transfer.byte_range import ByteRange
from tritonops.models.transfer.remote_file import RemoteFile
from tritonops.models.transfer.scheduler import Action, Job, Scheduler

MB = 1 << 20


def remote_file(number: int, size: int) -> RemoteFile:
    return RemoteFile(f"m{number}/1", "model.onnx", size, Address(f"https://hub/{number}"), f"{number:064x}")


@dataclass
class Stream:
    """A response whose server sends at `rate`, into a socket's buffer of `receive_buffer` bytes."""

    network: Network
    part: ByteRange
    rate: float
    receive_buffer: int
    status: int = 206
    first: int = 0
    """Where the response begins; for a server that ignores Range that is the start of the file."""
    began: float = 0.0
    stalled: float = 0.0
    """Seconds in which the buffer was full, so that the server sent nothing."""
    position: int = 0
    """How far it was read."""

    def __post_init__(self) -> None:
        self.began, self.position = self.network.now, self.first

    @property
    def sent(self) -> int:
        """Bytes that the server has sent so far; it never fills more than the buffer."""
        flowed = self.first + int((self.network.now - self.began - self.stalled) * self.rate)
        limit = min(self.part.requested_end, self.position + self.receive_buffer)
        if flowed > limit:
            self.stalled += (flowed - limit) / self.rate
        return min(flowed, limit)

    @property
    def unread_bytes(self) -> int:
        return self.sent - self.position


@dataclass
class Network:
    """Runs a scheduler's jobs: each worker reads from its stream when the CPU, shared by all, has time for it."""

    files: Sequence[RemoteFile]
    connections: int
    rate: Callable[[int], float] = lambda number: 10e6
    """Bytes a second of the connection with this number."""
    cpu_rate: float = 2e9
    """Bytes a second that the CPU reads, hashes and writes, for all workers together."""
    latency: float = 0.03
    receive_buffer: int = 4 * MB
    ignores_range: bool = False
    etag: Callable[[int], str] = lambda number: "an etag"
    """The ETag of the response with this number."""
    wrong_hashes: int = 0
    """How many times the first file has a wrong hash."""
    fails: Callable[[int], bool] = lambda number: False
    """Whether the connection with this number ends after half of its range."""

    now: float = 0.0
    sent: int = 0
    requests: list[tuple[str, int, int]] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.files, max_connections=self.connections, round_trip=self.latency)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers, self._responses = itertools.count(), itertools.count()
        self._idle = self.scheduler.ramp.workers
        self._cpu_free = 0.0
        self._has_tick = False
        self.tick = max(0.2, MB / self.rate(0))

    def run(self) -> Network:
        """Run until every file is over."""
        self._wake()
        while not self.scheduler.is_over:
            if not self._events:
                raise AssertionError("nothing is left to do, but the scheduler is not over")
            self.now, _, event = heapq.heappop(self._events)
            event()
            self._wake()
        return self

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), event))

    def _use_cpu(self, size: int) -> float:
        """Queue for the CPU, and return when it has processed so many bytes."""
        self._cpu_free = max(self._cpu_free, self.now) + size / self.cpu_rate
        return self._cpu_free

    def _wake(self) -> None:
        while self._idle and (job := self.scheduler.next_job(self.now)):
            self._idle -= 1
            self._start(job)
        if self._idle and not self.scheduler.is_over and not self._has_tick:
            self._has_tick = True
            self._at(self.now + self.tick, self._tick)

    def _tick(self) -> None:
        """Look for work again: a connection may have become slow."""
        self._has_tick = False

    def _start(self, job: Job) -> None:
        self.actions.append(job.action)
        download = job.download
        if job.action is Action.FETCH:
            assert job.part is not None
            part = job.part
            self._at(self.now + self.latency, lambda: self._connect(job, part))
        elif job.action is Action.OPEN:
            follow_up = self.scheduler.opened(download, [], self.now)
            if follow_up:
                self._start(follow_up)
            else:
                self._done()
        elif job.action is Action.HASH:
            self._at(self._use_cpu(job.interval[1] - job.interval[0]), lambda: self._hashed(job))
        elif job.action is Action.STORE:
            is_wrong = self.wrong_hashes > 0 and download is self.scheduler.downloads[0]
            self.wrong_hashes -= is_wrong
            self.scheduler.stored(download, None if is_wrong else download.file.sha256, self.now)
            self._done()
        else:
            self.scheduler.reset(download)
            self._done()

    def _hashed(self, job: Job) -> None:
        self.scheduler.hashed(job.download, job.interval)
        self._done()

    def _done(self) -> None:
        self._idle += 1

    def _connect(self, job: Job, part: ByteRange) -> None:
        download, scheduler = job.download, self.scheduler
        if not download.assign_url(part):
            self._settle(job, part, None)
            return
        number = next(self._responses)
        self.requests.append((download.file.key, part.position, part.end))
        is_whole = self.ignores_range
        if is_whole and not part.to_end_of_file and part.end - part.position < download.file.size:
            scheduler.range_ignored(download)
            self._settle(job, part, None)
            return
        stream = Stream(
            self, part, self.rate(number), self.receive_buffer, status=200 if is_whole else 206, first=part.position
        )
        if not scheduler.connected(download, part, stream, self.etag(number), self.now):
            self._settle(job, part, stream)
            return
        scheduler.located(download, part, Address("https://cdn/x"), self.latency)
        breaks_at = (part.position + part.end) // 2 if self.fails(number) else None
        self._read(job, part, stream, breaks_at)

    def _read(self, job: Job, part: ByteRange, stream: Stream, breaks_at: int | None) -> None:
        """Read what has arrived, or wait until some has; the CPU gets to it when it is free."""
        if part.position >= part.end or job.download.is_unwritable or (breaks_at and part.position >= breaks_at):
            self._settle(job, part, stream)
            return
        size = min(part.read_size, part.end - part.position)
        missing = size - stream.unread_bytes
        arrival = self.now + max(0.0, missing / stream.rate)
        begun = self.now
        self._at(arrival, lambda: self._process(job, part, stream, breaks_at, size, begun))

    def _process(
        self, job: Job, part: ByteRange, stream: Stream, breaks_at: int | None, size: int, begun: float
    ) -> None:
        def processed() -> None:
            stream.sent  # noqa: B018  # what was sent until now, before the buffer has room again
            stream.position += size
            part.advance(size, self.now - begun)
            self._read(job, part, stream, breaks_at)

        self._at(self._use_cpu(size), processed)

    def _settle(self, job: Job, part: ByteRange, stream: Stream | None) -> None:
        if stream:
            self.sent += stream.sent - stream.first
        self.scheduler.settle(job.download, part)
        self._done()
