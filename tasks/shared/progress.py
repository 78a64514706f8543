"""How a download is shown: bars at a terminal, one line a finished file in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from tasks.shared.terminal import note, size
from tritonops.display_text import clip, one_line
from tritonops.models.transfer.progress import Progress, Transfer

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_MOST_BARS = 10


@contextmanager
def download_progress(*, quiet: bool) -> Iterator[Progress]:
    """Show a download for as long as the block runs, as the place that stderr goes to allows."""
    if quiet:
        yield Progress()
    elif sys.stderr.isatty():
        bars = _ProgressBars()
        try:
            yield bars
        finally:
            bars.stop()
    else:
        yield _LogProgress()


class _LogProgress(Progress):
    """For a log: what is worth a line."""

    def waiting(self, owner: str) -> None:
        note(f"waiting for {owner}")

    def reading(self, files: int, size_bytes: int) -> None:
        note(f"verifying {files} files, {size(size_bytes)}")

    def warned(self, message: str) -> None:
        note(f"warning: {clip(one_line(message))}")

    def arrived(self, transfer: Transfer) -> None:
        note(_line(transfer))


def _line(transfer: Transfer) -> str:
    speed = f", {size(round(transfer.speed))}/s" if transfer.speed else ""
    return f"{transfer.label}: {size(transfer.size)} in {transfer.seconds:.1f} s{speed}"


class _ProgressBars(_LogProgress):
    """For a terminal: a bar for all files, one for each of the largest in flight, and a line for each complete one."""

    def __init__(self) -> None:
        self._tasks: dict[str, TaskID] = {}

    @cached_property
    def _rich(self) -> RichProgress:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as RichProgress

        label = TextColumn("{task.description}", markup=False)
        columns = (label, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        progress = RichProgress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
        progress.start()
        return progress

    def stop(self) -> None:
        """Remove the bars. Where nothing was fetched, none was drawn, and rich was not imported."""
        if "_rich" in self.__dict__:
            self._rich.stop()

    def warned(self, message: str) -> None:
        if "_rich" in self.__dict__:
            self._rich.console.print(f"warning: {clip(one_line(message))}", markup=False, highlight=False)
        else:
            super().warned(message)

    def arrived(self, transfer: Transfer) -> None:
        self._rich.console.print(_line(transfer), markup=False, highlight=False)

    def moved(self, active: Sequence[Transfer], received: int, total: int) -> None:
        self._update("total", received, total)
        largest = {transfer.label: transfer for transfer in active[:_MOST_BARS]}
        for label in self._tasks.keys() - largest.keys() - {"total"}:
            self._rich.remove_task(self._tasks.pop(label))
        for transfer in largest.values():
            self._update(transfer.label, transfer.received, transfer.size)
        self._rich.refresh()

    def _update(self, label: str, received: int, total: int) -> None:
        if label not in self._tasks:
            # What an earlier run left does not count as speed.
            self._tasks[label] = self._rich.add_task(label, total=total, completed=received)
        self._rich.update(self._tasks[label], completed=received, total=total)
