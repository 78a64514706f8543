"""How a download is shown: a few lines of fixed height at a terminal, lines with the total in a log."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tasks.output.terminal import note, size
from tritonops.display_text import clip, one_line
from tritonops.models.transfer.progress import Progress, Transfer

if TYPE_CHECKING:
    from rich.live import Live

_MOST_MODELS = 8
_LOG_SECONDS = 10.0
_SPEED_SECONDS = 10.0
_BAR = 20


@contextmanager
def download_progress(*, quiet: bool) -> Iterator[_Log]:
    """Show a download while the block runs, as the stream behind stderr allows. Ctrl-C says what is kept."""
    progress = _Quiet() if quiet else _Screen() if sys.stderr.isatty() else _Log()
    try:
        yield progress
    except KeyboardInterrupt:
        progress.stop()
        progress.note_kept()
        raise
    finally:
        progress.stop()


class _Log(Progress):
    """For a log: a line for each complete file, and the total every ten seconds."""

    def __init__(self) -> None:
        self._received, self._total = 0, 0
        self._earlier: int | None = None
        self._moments: deque[tuple[float, int]] = deque()
        self._noted_at = time.monotonic()

    def waiting(self, owner: str) -> None:
        note(f"waiting for {owner}")

    def reading(self, files: int, size_bytes: int) -> None:
        note(f"verifying {files} files, {size(size_bytes)}")

    def warned(self, message: str) -> None:
        note(f"warning: {clip(one_line(message))}")

    def arrived(self, transfer: Transfer) -> None:
        speed = f", {size(round(transfer.speed))}/s" if transfer.speed else ""
        note(f"{transfer.label}: {size(transfer.size)} in {transfer.seconds:.1f} s{speed}")

    def moved(self, active: Sequence[Transfer], received: int, total: int) -> None:
        now = time.monotonic()
        if self._earlier is None and active:
            self._earlier = sum(transfer.earlier for transfer in active)
            if self._earlier:
                note(f"resumed: {size(self._earlier)} of {size(total)} are here")
        self._received, self._total = received, total
        self._moments.append((now, received))
        while len(self._moments) > 2 and now - self._moments[0][0] > _SPEED_SECONDS:
            self._moments.popleft()
        self._show(active, now)

    def stop(self) -> None:
        """Draw no more."""

    def note_kept(self) -> None:
        """Say what an interrupted download keeps."""
        if self._total:
            note(f"{size(self._received)} of {size(self._total)} kept; run it again to resume")

    def _show(self, active: Sequence[Transfer], now: float) -> None:
        if now - self._noted_at >= _LOG_SECONDS:
            self._noted_at = now
            note(self._summary())

    def _summary(self) -> str:
        """Write the total: bytes, percent, speed, and the time left."""
        share = self._received / self._total if self._total else 1.0
        text = f"{size(self._received)} of {size(self._total)}, {share:.0%}"
        (first, before), (last, received) = self._moments[0], self._moments[-1]
        speed = (received - before) / (last - first) if last > first else 0.0
        if speed > 0:
            text += f", {size(round(speed))}/s, {_duration((self._total - self._received) / speed)} left"
        return text


class _Quiet(_Log):
    """For a script that reads JSON: warnings alone, and what an interruption keeps."""

    def waiting(self, owner: str) -> None:
        pass

    def reading(self, files: int, size_bytes: int) -> None:
        pass

    def arrived(self, transfer: Transfer) -> None:
        pass

    def moved(self, active: Sequence[Transfer], received: int, total: int) -> None:
        self._received, self._total = received, total


class _Screen(_Log):
    """For a terminal: the total, and a line for each of the largest models in flight, in a fixed height."""

    def __init__(self) -> None:
        super().__init__()
        self._live: Live | None = None
        self._height = 1
        self._complete = 0

    def stop(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def arrived(self, transfer: Transfer) -> None:
        self._complete += 1

    def _show(self, active: Sequence[Transfer], now: float) -> None:
        from rich.text import Text

        live = self._live or self._start()
        width, most = live.console.width, max(1, min(_MOST_MODELS, live.console.height - 4))
        lines = [_model_line(name, *counts, width) for name, counts in _by_model(active).items()]
        if len(lines) > most:
            lines = [*lines[: most - 1], f"… and {len(lines) - most + 1} more"]
        self._height = max(self._height, len(lines))
        lines += [""] * (self._height - len(lines))
        total = f"{self._summary()}; {self._complete} complete"
        live.update(Text("\n".join([_fitted(total, width), *lines]), no_wrap=True), refresh=True)

    def _start(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()
        return self._live


def _by_model(active: Sequence[Transfer]) -> dict[str, tuple[int, int]]:
    """Add up the files of each model version: received bytes and size, the largest first."""
    counts: dict[str, tuple[int, int]] = {}
    for transfer in active:
        name = "/".join(transfer.label.split("/")[:2])
        received, total = counts.get(name, (0, 0))
        counts[name] = received + transfer.received, total + transfer.size
    return dict(sorted(counts.items(), key=lambda item: -item[1][1]))


def _model_line(name: str, received: int, total: int, width: int) -> str:
    """Fit a line: the bar and the sizes go before the name is shortened."""
    percent = f"{received / total:4.0%}" if total else "100%"
    filled = round(_BAR * received / total) if total else _BAR
    bar = f"[{'=' * filled}{' ' * (_BAR - filled)}]"
    for parts in ((bar, f"{size(received)} of {size(total)}"), (bar,), (f"{size(total)}",), ()):
        line = "  ".join((percent, *parts, name))
        if len(line) <= width:
            return line
    return _fitted(f"{percent}  {name}", width)


def _fitted(line: str, width: int) -> str:
    """Cut the middle of a line that is too long: names differ at both ends."""
    if len(line) <= width:
        return line
    half = (width - 1) // 2
    return f"{line[: width - 1 - half]}…{line[-half:]}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
