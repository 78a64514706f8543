"""Options as they were typed, checked: what is wrong with one is an InputError."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tritonops.errors import InputError

JSON = {"json": "Print one JSON document, and no progress."}
YES = {"yes": "Do not ask for confirmation."}
"""Help of options that many tasks have."""
_MOST_SECONDS = 10_000_000
"""What a system's timers and gRPC's deadlines can take for certain: 115 days."""
_MOST = 2**63 - 1


def names(values: Iterable[str] | None) -> list[str]:
    """Flatten an option that may be given several times, and take comma-separated lists too."""
    return [name for value in values or () for part in value.split(",") if (name := part.strip())]


def integer(option: str, value: str | int | None, *, at_least: int = 0, at_most: int = _MOST) -> int | None:
    """Read a whole number that was typed; Invoke's own conversion would end in a traceback."""
    if value is None:
        return None
    try:
        number = int(value)
    except ValueError:
        number = at_least - 1
    if number > at_most:
        raise InputError(f"{option}: expected at most {at_most:,}, got {value!r}")
    if number < at_least:
        raise InputError(f"{option}: expected {_whole_number(at_least)}, got {value!r}")
    return number


def choice(option: str, value: str | None, choices: Sequence[str]) -> str:
    """Read one of several words, the first of which is the default."""
    if value is None:
        return choices[0]
    if value not in choices:
        raise InputError(f"{option}: expected {', '.join(choices[:-1])} or {choices[-1]}, got {value!r}")
    return value


def output_format(value: str | None, formats: Sequence[str], *, json: bool) -> str:
    """Read --format, of which --json is a short form."""
    if value and json:
        raise InputError("--format and --json: give one of them")
    return choice("--format", "json" if json else value, formats)


def refuse_followed_json(*, follow: bool, json: bool) -> None:
    """Refuse --follow with --json: one document has an end."""
    if follow and json:
        raise InputError("--follow and --json: give one of them", hint="A document is complete; following has no end.")


def file_path(option: str, value: str | None) -> Path | None:
    """Read a path that was typed; a `~` that the shell left alone counts too."""
    from tritonops.files import expand_home

    try:
        return None if value is None else Path(expand_home(value))
    except ValueError as exc:
        raise InputError(f"{option} {value}: {exc}") from exc


def seconds(option: str, value: str | float | None) -> float | None:
    """Read a duration in seconds that was typed."""
    if value is None:
        return None
    try:
        duration = float(value)
    except ValueError:
        duration = -1.0
    if not 0 <= duration < float("inf"):
        raise InputError(f"{option}: expected a number of seconds, got {value!r}")
    if duration > _MOST_SECONDS:
        raise InputError(f"{option}: expected at most {_MOST_SECONDS:,} seconds, got {value!r}")
    return duration


def _whole_number(at_least: int) -> str:
    return "a positive integer" if at_least == 1 else f"an integer of at least {at_least}"
