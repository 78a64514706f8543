"""What is waited for, at a terminal: a spinner, the elapsed seconds and a line for each model or host at work."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group

_MOST_LINES = 8
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_FRAMES = "|/-\\"


class Waiting:
    """The state of a wait. Its methods may be called from any thread."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._started = time.monotonic()
        self._lines: dict[str, str] = {}
        self.begin: Callable[[], object] = lambda: None
        """Start to draw; nothing happens where it is drawn already, or there is no terminal."""

    def set(self, name: str, state: str) -> None:
        """Show the state of one model or host."""
        self._lines[name] = state

    def replace(self, lines: dict[str, str]) -> None:
        """Show these states in place of the earlier ones."""
        self._lines = dict(lines)

    def lines(self, width: int) -> list[str]:
        """Give the lines to draw: what is waited for with the elapsed seconds, then each state, cut to the width."""
        seconds = time.monotonic() - self._started
        shown = [*self._lines.items()]
        more = len(shown) - _MOST_LINES
        lines = [f"{_frame(seconds)} {self.what}, {seconds:.0f} s"]
        lines += [f"  {name}: {state}" for name, state in shown[:_MOST_LINES]]
        lines += [f"  … and {more} more"] if more > 0 else []
        return [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]


@contextmanager
def waiting(what: str, *, quiet: bool = False, at_once: bool = True) -> Iterator[Waiting]:
    """Show a wait while the block runs; where stderr is no terminal, or with `quiet`, nothing is drawn.

    Without `at_once`, it is drawn from `begin()` on.
    """
    shown = Waiting(what)
    if quiet or not sys.stderr.isatty():
        yield shown
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)

    def draw() -> Group:
        from rich.console import Group
        from rich.text import Text

        return Group(*(Text(line, no_wrap=True) for line in shown.lines(console.width)))

    live = Live(console=console, get_renderable=draw, refresh_per_second=8, transient=True)
    shown.begin = live.start
    try:
        if at_once:
            live.start()
        yield shown
    finally:
        live.stop()


def _frame(seconds: float) -> str:
    frames = _FRAMES if "utf" in (sys.stderr.encoding or "").lower() else _PLAIN_FRAMES
    return frames[int(seconds * 8) % len(frames)]
