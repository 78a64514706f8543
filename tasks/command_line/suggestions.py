"""What was meant by a task or an option that there is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches

from tritonops.errors import near_misses


def suggest_task(word: str, following: str, names: Collection[str]) -> str:
    """Suggest tasks for a word that is none; `following` is the word after it: `models list`."""
    if found := _meant(_normalized(word), _normalized(following), names):
        return f"Did you mean {_either(found)}?"
    if members := sorted(name for name in names if name.startswith(f"{_normalized(word)}.")):
        return f"{word} is a group of tasks: {', '.join(members)}"
    return "inv --list shows all tasks."


_SYNONYMS = {
    "stop": "down",
    "start": "up",
    "delete": "remove",
    "rm": "remove",
    "ls": "list",
    "show": "list",
    "get": "download",
    "fetch": "download",
    "predict": "infer",
    "versions": "serve",
    "validate": "check",
}
"""Words of other tools for what a task does."""


def suggest_option(flag: str, own: Iterable[str], others: Mapping[str, Iterable[str]], task: str | None) -> str:
    """Suggest options for one that a task does not have; `others` are the options of tasks that may be meant."""
    long = sorted({name for name in own if name.startswith("--")})
    typed = _normalized(flag)
    if task is None and any(typed in flags for flags in others.values()):
        return f"{flag} is an option of tasks: it comes after a task's name."
    if near := get_close_matches(typed, long, n=3, cutoff=0.6):
        return f"Did you mean {_either(near)}?"
    if elsewhere := sorted(name for name, flags in others.items() if name != task and typed in flags)[:3]:
        return f"{flag} is an option of {_either(elsewhere)}."
    if task is None:
        return "inv --help shows the options of inv; those of a task come after its name."
    return near_misses(flag, long, "options")


def _meant(word: str, following: str, names: Collection[str]) -> list[str]:
    by_last = dict[str, list[str]]()
    for name in sorted(names):
        by_last.setdefault(name.rpartition(".")[2], []).append(name)
    if word in names:
        return [word]
    if following and f"{word}.{following}" in names:
        return [f"{word}.{following}"]
    group, _, last = word.rpartition(".")
    if (synonym := _SYNONYMS.get(last)) and synonym in by_last:
        return [name for name in by_last[synonym] if not group or name.startswith(f"{group}.")]
    if word in by_last:
        return by_last[word]
    if any(name.startswith(f"{word}.") for name in names):
        return []
    near = _nearest(word, names) or [name for last in _nearest(word, by_last) for name in by_last[last]]
    return near[:4]


def _nearest(word: str, known: Collection[str]) -> list[str]:
    """The names that are nearly as close as the closest one."""
    found = get_close_matches(word, [*known], n=3, cutoff=0.7)
    ratios = {name: SequenceMatcher(None, name, word).ratio() for name in found}
    return [name for name in found if ratios[name] > max(ratios.values()) - 0.05]


def _normalized(word: str) -> str:
    return word.lower().replace("_", "-")


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
