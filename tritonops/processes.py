"""Processes of this machine, told apart from later ones with the same id, and their users."""

from __future__ import annotations

from pathlib import Path


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot, from /proc.

    None when there is no such process, or it has ended and waits to be collected.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name, in parentheses, may contain anything; the state follows it. The first thread of a process
    # may have ended while others are still closing its ports.
    state, *fields = stat.rpartition(")")[2].split()
    threads, started = int(fields[16]), int(fields[18])
    return None if state in "ZX" and threads <= 1 else started


def user_name(uid: int) -> str:
    """Name a user; one that this machine does not know by its number."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
