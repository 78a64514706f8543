"""The same work on each of several models: all of them are tried, and each failure is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from tritonops.errors import PartialFailureError, TritonOpsError

_T = TypeVar("_T")


def for_each_model(names: Sequence[str], work: Callable[[str], _T], *, show: Callable[[list[_T]], None]) -> None:
    """Do the work for each name, show the results, then raise the failures.

    For one name, its own error is raised. For several, a PartialFailureError, whose exit code is that of the failures
    where it is the same for all, else 1.
    """
    unique = [*dict.fromkeys(names)]
    results, failures = list[_T](), dict[str, TritonOpsError]()
    for name in unique:
        try:
            results.append(work(name))
        except TritonOpsError as exc:
            if len(unique) == 1:
                raise
            failures[name] = exc
    if results or not failures:
        show(results)
    if failures:
        codes = {error.exit_code for error in failures.values()}
        raise PartialFailureError(
            f"{len(failures)} of {len(unique)} models failed",
            {name: error.in_one_line for name, error in failures.items()},
            exit_code=codes.pop() if len(codes) == 1 else 1,
        )
