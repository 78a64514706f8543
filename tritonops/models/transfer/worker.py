"""The loop of one worker: open a file, fetch a range, hash an interval."""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Mapping

from tritonops.errors import AccessDeniedError, SourceError
from tritonops.models.http.address_with_token import Address
from tritonops.models.http.errors import TransientError
from tritonops.models.http.response import Response
from tritonops.models.http.response_headers import content_length, content_range
from tritonops.models.http.retries import Retries
from tritonops.models.http.transport import Transport
from tritonops.models.http.watchdog import MIN_SPEED
from tritonops.models.transfer.byte_range import ByteRange
from tritonops.models.transfer.file_content import FileContent
from tritonops.models.transfer.file_download import FileDownload
from tritonops.models.transfer.scheduler import Action, Job, Scheduler
from tritonops.models.transfer.tuning import DEFAULT_TUNING


class _TryAgainError(Exception):
    """The range is fetched again: what was learned about the server changes how it is fetched."""


class Worker:
    """Does the scheduler's jobs, one after the other, over one connection at a time.

    The scheduler is called under the lock of `changed`, which is notified where another worker may find a job now.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        changed: threading.Condition,
        transport: Transport,
        contents: Mapping[str, FileContent],
        storing: threading.Lock,
    ) -> None:
        self._scheduler, self._changed, self._transport = scheduler, changed, transport
        self._contents, self._storing = contents, storing
        self._buffer = memoryview(mmap.mmap(-1, DEFAULT_TUNING.max_read))  # memory that is not taken before it is used

    def do(self, job: Job) -> None:
        """Do a job, and report to the scheduler. Raises OSError and StoppedError."""
        content = self._contents[job.download.file.key]
        if job.action is Action.FETCH:
            assert job.part is not None
            self._fetch(job.download, job.part)
        elif job.action is Action.OPEN:
            self._open_file(job.download, content)
        elif job.action is Action.STORE:
            self._store(job.download, content)
        elif job.action is Action.HASH:
            content.hash_interval(job.interval, self._buffer)
            with self._changed:
                self._scheduler.hashed(job.download, job.interval)
        else:
            content.reset()
            with self._changed:
                self._scheduler.reset(job.download)

    def _open_file(self, download: FileDownload, content: FileContent) -> None:
        arrived = content.open()
        with self._changed:
            job = self._scheduler.opened(download, arrived, time.monotonic())
            self._changed.notify()
        if job:
            self.do(job)

    def _store(self, download: FileDownload, content: FileContent) -> None:
        with self._storing:
            sha256 = content.store()
        with self._changed:
            self._scheduler.stored(download, sha256, time.monotonic())

    def _fetch(self, download: FileDownload, part: ByteRange) -> None:
        try:
            self._fetch_patiently(download, part)
        except _TryAgainError:
            pass
        except SourceError as exc:
            with self._changed:
                self._scheduler.failed(download, exc)
        finally:
            with self._changed:
                self._scheduler.settle(download, part)

    def _fetch_patiently(self, download: FileDownload, part: ByteRange) -> None:
        before = part.position
        retries = self._transport.retries(download.file.name, idle_seconds=download.idle_seconds)
        download.idle_seconds = 0.0
        while part.position < part.end:
            try:
                self._fetch_once(download, part, retries)
            except TransientError as exc:
                # A server that gives a few bytes to each request makes no progress either.
                if part.position - before >= MIN_SPEED * retries.seconds and part.position > before:
                    before = part.position
                    retries.progressed()
                retries.pause(exc)
            except _TryAgainError:
                if retries.has_failed and part.position - before < MIN_SPEED * retries.seconds:
                    download.idle_seconds = retries.seconds  # another way of fetching it is not a new beginning
                raise

    def _fetch_once(self, download: FileDownload, part: ByteRange, retries: Retries) -> None:
        is_whole = part.position == 0 and (
            part.to_end_of_file or part.end == download.file.size <= DEFAULT_TUNING.min_range
        )
        with self._changed:
            if not download.assign_url(part):
                raise _TryAgainError
            headers = {} if is_whole else {"Range": f"bytes={part.position}-{part.end - 1}"}
        with self._open(download, part, headers, retries) as response:
            self._check(response, download, part)
            self._copy(response, download, part, skip=part.position if response.status == 200 else 0)

    def _open(self, download: FileDownload, part: ByteRange, headers: Mapping[str, str], retries: Retries) -> Response:
        origin = download.file.origin
        assert isinstance(origin, Address)
        try:
            if part.url:
                return self._transport.open(part.url, retries, headers)
            return self._transport.open(origin, retries, headers, lambda url: self._set_url(download, part, url))
        except AccessDeniedError as exc:
            if part.url in (None, origin):
                raise
            with self._changed:
                download.invalidate_url(part.url)
            raise TransientError("the signed URL has expired", delay=0.0) from exc

    def _set_url(self, download: FileDownload, part: ByteRange, url: Address) -> None:
        with self._changed:
            if self._scheduler.located(download, part, url, self._transport.shortest_wait):
                self._changed.notify()

    def _check(self, response: Response, download: FileDownload, part: ByteRange) -> None:
        """Refuse an answer that is not the bytes that were asked for."""
        try:
            is_usable = _has_bytes_of(response, download.file.size, part)
        except SourceError as exc:
            raise SourceError(f"{download.file.name}: {exc}") from exc
        with self._changed:
            if not is_usable:
                self._scheduler.range_ignored(download)
                raise _TryAgainError
            etag = response.headers.get("ETag")
            if not self._scheduler.connected(download, part, response, etag, time.monotonic()):
                raise _TryAgainError
            if self._scheduler.located(download, part, response.address, self._transport.shortest_wait):
                self._changed.notify()

    def _copy(self, response: Response, download: FileDownload, part: ByteRange, *, skip: int) -> None:
        """Write the body to the file; its first `skip` bytes have arrived already."""
        content, buffer = self._contents[download.file.key], self._buffer
        while part.position < part.end and not download.is_unwritable:
            started = time.monotonic()
            count = response.read_into(buffer[: min(part.read_size, skip or part.end - part.position)])
            if count == 0:
                raise TransientError("the connection ended early")
            if skip:
                skip -= count
                continue
            if part.is_hashing:
                content.hash(buffer[:count])
            content.write(part.position, buffer[:count])
            part.advance(count, time.monotonic() - started)
        if part.position < part.end:
            raise _TryAgainError


def _has_bytes_of(response: Response, size: int, part: ByteRange) -> bool:
    """Check an answer; False where the server has ignored Range. Raises SourceError for other bytes."""
    total = content_length(response.headers)
    if response.status == 206:
        found = content_range(response.headers)
        if found.start != part.position:
            raise SourceError("the server sent other bytes than the ones that were asked for")
        total = found.total
    elif not part.to_end_of_file and part.end - part.position < size:
        return False
    if total is not None and total != size:
        raise SourceError(f"it is {total:,} bytes long there, and {size:,} are expected")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceError("the server sent it compressed, which was not asked for")
    return True
