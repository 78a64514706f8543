"""Intervals of bytes."""

from __future__ import annotations

Interval = tuple[int, int]
"""From this byte to before that one."""


def joined(intervals: list[Interval]) -> list[Interval]:
    """Sort intervals, and join those that touch or overlap."""
    result: list[Interval] = []
    for start, end in sorted(intervals):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        elif start < end:
            result.append((start, end))
    return result


def gaps(intervals: list[Interval], size: int) -> list[Interval]:
    """List what sorted, joined intervals leave of a file."""
    edges = [0, *(edge for interval in intervals for edge in interval), size]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]
