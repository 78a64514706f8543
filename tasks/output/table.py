"""Tables at a terminal: they fit its width by leaving out columns and wrapping cells, never by cutting a name."""

from __future__ import annotations

from collections.abc import Sequence

WRAPPED = {
    *("source", "reason", "message", "problem", "remedy", "subject", "change", "image", "ports", "action"),
    *("served", "expected", "done", "what", "set", "for", "locked by"),
}
"""Columns whose cells may take several lines."""
LEFT_OUT = (
    *("digest", "revision", "at", "free", "since", "runtime", "size", "enabled", "config", "seconds", "by", "subject"),
    *("source", "expected", "disk", "server"),
)
"""Columns that a narrow terminal does without, the first ones first."""
_NARROWEST, _GAP = 16, 2
_STYLES = {
    **dict.fromkeys(("READY", "yes", "ok", "healthy", "deployed"), "green"),
    **dict.fromkeys(("UNAVAILABLE", "failed", "problem", "unhealthy", "down"), "red"),
    **dict.fromkeys(("LOADING", "UNLOADING", "starting", "rolled back", "locked", "unproven"), "yellow"),
}
_SIGNS = {"+": "green", "-": "red", "~": "yellow", "!": "yellow"}
"""Of changes, in the column without a name."""


def print_fitted(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table as wide as the terminal, or as the names need."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    chosen = _fitting(columns, rows, console.width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="" if console.no_color else "bold")
    for index in chosen:
        if columns[index] in WRAPPED:
            table.add_column(columns[index], overflow="fold", min_width=min(_NARROWEST, _width(columns, rows, index)))
        else:
            table.add_column(columns[index], no_wrap=True, min_width=_width(columns, rows, index))
    for row in rows:
        styles = [(_STYLES if columns[index] else _SIGNS).get(row[index], "") for index in chosen]
        table.add_row(*(Text(row[index], style=style) for index, style in zip(chosen, styles, strict=True)))
    Console(width=max(console.width, _needed(columns, rows, chosen))).print(table)
    left_out = [columns[index] for index in range(len(columns)) if index not in chosen and _says_something(rows, index)]
    if left_out:
        console.print(Text(f"not shown, for lack of width: {', '.join(left_out)}", style="dim"))


def _fitting(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    chosen = [index for index in range(len(columns)) if _says_something(rows, index)] or [*range(len(columns))]
    for column in LEFT_OUT:
        if _needed(columns, rows, chosen) <= width:
            break
        chosen = [index for index in chosen if columns[index] != column or index == 0]
    return chosen


def _says_something(rows: Sequence[Sequence[str]], index: int) -> bool:
    return any(row[index] != "-" for row in rows)


def _needed(columns: Sequence[str], rows: Sequence[Sequence[str]], chosen: Sequence[int]) -> int:
    """The width with wrapped columns as narrow as they may get."""
    widths = [_width(columns, rows, index) for index in chosen]
    least = [
        min(width, _NARROWEST) if columns[index] in WRAPPED else width
        for index, width in zip(chosen, widths, strict=True)
    ]
    return sum(least) + _GAP * (len(chosen) - 1)


def _width(columns: Sequence[str], rows: Sequence[Sequence[str]], index: int) -> int:
    from rich.cells import cell_len

    return max(cell_len(line) for cell in [columns[index], *(row[index] for row in rows)] for line in cell.split("\n"))
