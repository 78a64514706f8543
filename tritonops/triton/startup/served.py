"""What a Triton does not serve, and why: from its index, and from its log where the index is silent."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from tritonops.display_text import shorten
from tritonops.errors import PartialFailureError, TokenRefusedError, TritonError, TritonUnreachableError
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient
from tritonops.triton.startup.load_log import stuck_loads

Explain = Callable[[str], str]
"""Puts one of Triton's reasons as a person needs it."""

_UNLOADED = "unloaded"
_FAILED = re.compile(
    r"""(?:Poll\ failed\ for\ model\ directory\ |failed\ to\ load\ model\ |failed\ to\ load\ )
        '(?P<name>[^']+)'(?:\ version\ \d+)?:\ (?P<reason>.*)"$""",
    re.VERBOSE,
)
_ENSEMBLE = re.compile(
    r"""(?:ensemble\ '?(?P<name>.+?)'?\ (?=depends\ on|contains\ models)|in\ ensemble\ (?P<other>.+?),\ |
        (?=circular\ dependency\ between\ ensembles:\ (?P<circle>.+?)\ ->))
        (?P<reason>.*)"$""",
    re.VERBOSE,
)
_WITHOUT_REASON = re.compile(r" Model '[^']+' loading failed with error: $")
_LOADED = re.compile(r"""successfully loaded '(?P<name>[^']+)'""")
# The parser of config.pbtxt says where and what, on a line before the one that names the model.
_UNPARSED = re.compile(r"Error parsing text-format inference\.ModelConfig: (?P<where>\d+:\d+): (?P<what>.*)$")
_TRACEBACK = re.compile(r"\n+At:\n.*", re.DOTALL)


def without_traceback(reason: str) -> str:
    """Cut off the Python traceback that Python-based backends add to a reason."""
    return _TRACEBACK.sub("", reason)


def failure_reasons(log: str, *, explain: Explain = without_traceback) -> dict[str, str]:
    """Read from Triton's log the last word on each model that could not be loaded, by name."""
    reasons: dict[str, str] = {}
    unparsed = ""
    for line in log.splitlines():
        if found := _UNPARSED.search(line):
            unparsed = f" (line {found['where'].replace(':', ', column ')}: {found['what']})"
        elif found := _FAILED.search(line):
            reasons[found["name"]] = explain(found["reason"].replace("\\n", "\n") + unparsed)
            unparsed = ""
        elif found := _ENSEMBLE.search(line):
            reason = explain(_WITHOUT_REASON.sub("", found["reason"]).replace("\\n", "\n"))
            name = found["name"] or found["other"] or found["circle"]
            # It is repeated at each later load of another model, without what the step failed of.
            if not reasons.get(name, "").startswith(reason):
                reasons[name] = reason
        elif found := _LOADED.search(line):
            reasons.pop(found["name"], None)
    return reasons


def with_reasons(
    index: Iterable[ModelStatus],
    names: Iterable[str],
    log: str,
    *,
    explain: Explain = without_traceback,
    not_loaded: Mapping[str, str] | None = None,
    answers: Mapping[str, str] | None = None,
) -> list[ModelStatus]:
    """Add the reason of a model that Triton could not even read, and a row for each of `names` that it does not list.

    `not_loaded` has the reasons of models that a start left out, or did not wait for; `answers` what Triton answered to
    its loads, which it need not log.
    """
    answered = {name: explain(answer) for name, answer in (answers or {}).items()}
    reasons = {**answered, **failure_reasons(log, explain=explain), **(not_loaded or {}), **stuck_loads(log)}
    rows = list(index)
    unlisted = {*names} - {row.name for row in rows}
    rows += [ModelStatus(name, None, None, None) for name in unlisted]
    return [
        ModelStatus(row.name, row.version, row.state, explain(row.reason) if row.reason else _logged(row, reasons))
        for row in sorted(rows, key=lambda row: (row.name, row.version or 0))
    ]


def _logged(row: ModelStatus, reasons: dict[str, str]) -> str | None:
    return reasons.get(row.name) if row.state in (None, "LOADING") else None


def settled_index(client: TritonClient, *, hung: Collection[str] = ()) -> list[ModelStatus] | None:
    """Read the index, once Triton answers and loads nothing any more but what is `hung`; None before that.

    A Triton that starts does not answer until it has tried to load every model.
    """
    try:
        index = client.index()
    except TokenRefusedError:
        raise
    except (TritonUnreachableError, TritonError):
        if not has_started(client):
            return None
        index = client.index()  # it came up just now, or has a reason of its own, which is raised
    return None if any(row.state == "LOADING" and row.name not in hung for row in index) else index


def has_started(client: TritonClient) -> bool:
    """Whether Triton has started, which it has once it tried to load every model."""
    try:
        client.is_ready()
    except (TritonUnreachableError, TritonError):
        return False
    return True


def raise_unserved(rows: Iterable[ModelStatus], *, hint: str) -> None:
    """Raise PartialFailureError, naming every model that should be served and is not."""
    failures = {
        row.name: _worded(row.reason) or f"it was never loaded: try `inv triton.load {row.name}`"
        for row in rows
        # A version that is UNLOADING answers its last requests: somebody unloaded it, or another one took its place.
        if row.state not in ("READY", "UNLOADING") and row.reason != _UNLOADED
    }
    if failures:
        raise PartialFailureError("Triton is up, but does not serve", failures, hint=hint)


def _worded(reason: str | None) -> str | None:
    return shorten(reason, "in the log, and with --json") if reason else None
