"""How the triton tasks show what they did: tables for people, or one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.output.terminal import count, note, note_at_terminal, print_json, print_table
from tritonops.display_text import one_line, shorten

if TYPE_CHECKING:
    from tritonops.triton.apply import ApplyResult
    from tritonops.triton.client.api_types import ModelStatus
    from tritonops.triton.client.response import InferenceResult, OutputTensor
    from tritonops.triton.load import LoadResult


def show_outcomes(outcomes: Sequence[LoadResult], *, json: bool, as_list: bool) -> None:
    """Print the results of loads: each model, its steps and its dependents. Raises for smoke tests that failed.

    As JSON it is one object, or with `as_list` a list of them.
    """
    from tritonops.triton.smoke import raise_if_failed

    if json:
        print_json(outcomes if as_list else outcomes[0])
    else:
        for outcome in outcomes:
            _show_outcome(outcome)
        show_models([row for outcome in outcomes for row in outcome.versions], json=False)
    raise_if_failed([result for outcome in outcomes for result in outcome.smoke_tests])


def _show_outcome(outcome: LoadResult) -> None:
    note(f"{outcome.model}: {_VERDICTS[outcome.verdict]}")
    for names, what in ((outcome.steps, "loaded with it"), (outcome.dependents, "still in service, and using it")):
        if names:
            note(f"{what}: {', '.join(names)}")
    if passed := [result.model for result in outcome.smoke_tests if not result.problems]:
        note(f"smoke test passed: {', '.join(passed)}")


_VERDICTS = {
    "loaded": "loaded",
    "current": "served already, from the files that are there",
    "unloaded": "unloaded",
    "not loaded": "was not loaded",
}


def show_result(result: ApplyResult, *, json: bool) -> None:
    """Print what an apply did."""
    if json:
        print_json(result)
    elif result.done:
        print_table(["model", "done"], [(applied.model, ", ".join(applied.actions)) for applied in result.done])
    else:
        note("nothing was to be done" if not result.failed else "nothing was done")


def show_models(rows: Sequence[ModelStatus], *, json: bool) -> None:
    """Print rows of the index."""
    if json:
        print_json(rows)
    else:
        cells = [[row.name, row.version, row.state, reason_cell(row.reason)] for row in rows]
        print_table(["model", "version", "state", "reason"], cells)
        ready = {row.name for row in rows if row.state == "READY"}
        if len(rows) > 1:
            note_at_terminal(f"{len(ready):,} of {count(len({row.name for row in rows}), 'model')} READY")


def reason_cell(reason: str | None) -> str | None:
    """Shorten a reason to one line; --json shows all of it."""
    from tritonops.triton.startup.failure_reasons import without_traceback

    return shorten(without_traceback(reason), "--json").replace("\n", " ") if reason else None


def show_answer(model: str, answer: InferenceResult, *, json: bool) -> None:
    """Print what a model answered; outputs that are not as declared are noted."""
    for what in answer.undeclared:
        note(f"{what}")
    if not answer.is_complete:
        note(f"stopped after {len(answer.responses)} responses; --max-responses N takes more")
    if not answer.responses:
        note("it ended without a response")
    if json:
        responses = [{"outputs": [output.as_json() for output in response]} for response in answer.responses]
        several = {"responses": responses, "complete": answer.is_complete}
        print_json({"model": model, **(several if answer.is_decoupled else responses[0])})
        return
    for number, response in enumerate(answer.responses, start=1):
        if answer.is_decoupled:
            print(f"response {number}:")
        for output in response:
            _show_output(output)


def _show_output(output: OutputTensor) -> None:
    name = one_line(output.name)
    if not output.top:
        print(f"{name} {output.datatype} {list(output.array.shape)}")
        print(output.array)
        return
    for number, row in enumerate(output.top):
        print(name if len(output.top) == 1 else f"{name}[{number}]")
        print_table(["index", "label", "value"], [[found.index, found.label, found.value] for found in row])
