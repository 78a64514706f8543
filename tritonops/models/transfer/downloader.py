"""Many files over many connections at once: large ones in several ranges, verified while they arrive."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from tritonops.errors import SourceError
from tritonops.models.http.errors import StoppedError
from tritonops.models.http.transport import Transport
from tritonops.models.transfer.file_content import FileContent
from tritonops.models.transfer.progress import Progress
from tritonops.models.transfer.remote_file import RemoteFile
from tritonops.models.transfer.scheduler import Job, Scheduler
from tritonops.models.transfer.storage import Storage, StorageError
from tritonops.models.transfer.worker import Worker
from tritonops.models.transfer.worker_pool import WorkerPool

OnStored = Callable[[Sequence[str]], None]
"""Called, in the thread that called `fetch`, with the keys of files that were stored since the last call."""


class Downloader:
    """Fetches files into a storage, once: owns the threads, reports progress, and ends on Ctrl-C."""

    def __init__(
        self,
        storage: Storage,
        transport: Transport,
        progress: Progress,
        *,
        max_connections: int,
        on_stored: OnStored,
    ) -> None:
        self._storage, self._transport, self._progress = storage, transport, progress
        self._max_connections, self._on_stored = max_connections, on_stored
        self._changed = threading.Condition()
        self._storing = threading.Lock()
        self._is_over = threading.Event()
        self._error: BaseException | None = None
        self._scheduler: Scheduler
        self._contents: dict[str, FileContent]
        self.received = 0
        """Bytes that this run has fetched."""

    def fetch(self, files: Sequence[RemoteFile]) -> dict[str, str | SourceError]:
        """Fetch files; returns, by key, each one's SHA-256, or why it could not be fetched.

        Raises StorageError where the disk is full or broken, and KeyboardInterrupt within a second; either way, what
        has arrived stays for the next run.
        """
        unique = {file.key: file for file in files}
        self._contents = {key: FileContent(file, self._storage) for key, file in unique.items()}
        self._scheduler = Scheduler(
            [*unique.values()], max_connections=self._max_connections, round_trip=self._transport.shortest_wait
        )
        pool = WorkerPool(self._work, self._scheduler.ramp)
        pool.start()
        try:
            self._watch(pool)
        finally:
            self._stop(pool)
        self.received = self._scheduler.received
        if self._error and not isinstance(self._error, StoppedError):
            raise self._error
        return {download.file.key: download.result for download in self._scheduler.downloads}

    def _watch(self, pool: WorkerPool) -> None:
        """Report until all is over, while the pool grows."""
        while not self._is_over.wait(pool.poll_interval):
            pool.grow()
            self._report()
            with self._changed:
                self._changed.notify()  # a connection may have become slow since a worker looked
        self._report()

    def _report(self) -> None:
        with self._changed:
            transfers, keys = self._scheduler.take_stored()
            active, received = self._scheduler.progress(time.monotonic())
        for transfer in transfers:
            self._progress.arrived(transfer)
        if keys:
            self._on_stored(keys)
        self._progress.moved(active, received, self._scheduler.total)

    def _stop(self, pool: WorkerPool) -> None:
        """Let no thread write any more. One that hangs in a connect is left behind: it has no range to write."""
        self._transport.close()
        self._end(StoppedError())
        if pool.join(timeout=0.5):
            for content in self._contents.values():
                content.close()

    def _work(self) -> None:
        try:
            worker = Worker(self._scheduler, self._changed, self._transport, self._contents, self._storing)
            while job := self._next_job():
                worker.do(job)
        except StoppedError:
            pass
        except OSError as exc:
            self._end(StorageError(exc))
        except BaseException as exc:  # a bug must not look like a file that is still being fetched
            self._end(exc)

    def _end(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._is_over.set()
            self._changed.notify_all()

    def _next_job(self) -> Job | None:
        """Wait for a job; None when everything is over.

        Each worker that finds a job wakes one more; notify_all() would cost more than the work.
        """
        with self._changed:
            while self._error is None and not self._scheduler.is_over:
                if job := self._scheduler.next_job(time.monotonic()):
                    self._changed.notify()
                    return job
                self._changed.wait()
            if self._error is None:
                self._is_over.set()
                self._changed.notify_all()
        return None
