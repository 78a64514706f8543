"""The reasons for which models were not loaded, read from Triton's log."""

from __future__ import annotations

import re
from collections.abc import Callable

Explain = Callable[[str], str]
"""Rewords one of Triton's reasons for a person."""


_FAILED = re.compile(
    r"""(?:Poll\ failed\ for\ model\ directory\ |failed\ to\ poll\ model\ |failed\ to\ load\ model\ |failed\ to\ load\ )
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
# The parser of config.pbtxt logs position and error on the line before the one that names the model.
_UNPARSED = re.compile(r"Error parsing text-format inference\.ModelConfig: (?P<where>\d+:\d+): (?P<what>.*)$")
_TRACEBACK = re.compile(r"\n+At:\n.*", re.DOTALL)


def without_traceback(reason: str) -> str:
    """Drop the Python traceback that Python-based backends add to a reason."""
    return _TRACEBACK.sub("", reason)


def failure_reasons(log: str, *, explain: Explain = without_traceback) -> dict[str, str]:
    """Read from Triton's log the last reason of each model that was not loaded, by name."""
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
            # Each later load of another model logs it again, without the reason of the failed step.
            if not reasons.get(name, "").startswith(reason):
                reasons[name] = reason
        elif found := _LOADED.search(line):
            reasons.pop(found["name"], None)
    return reasons
