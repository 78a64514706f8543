"""A config against its ONNX graph: what the ONNX Runtime backend refuses, or would answer wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shlex import quote

from tritonops.errors import GraphError
from tritonops.models.graphs.onnx_graph import Graph, missing_data, read_graph
from tritonops.models.graphs.operators import read_operators
from tritonops.models.graphs.trial import Trial
from tritonops.models.rules.completion.completed import complete_version
from tritonops.models.rules.config import effective_backend, served_versions
from tritonops.models.rules.files import graph_file
from tritonops.models.rules.finding import Problem, Subject
from tritonops.models.rules.onnx.runtime import runtime_problems
from tritonops.models.rules.onnx.tensors import input_problems, output_problems, state_problems
from tritonops.models.rules.onnx.trials import batch_problems, load_problems, trial_request
from tritonops.models.rules.sequences.in_graph import control_problems


def graph_problems(subject: Subject) -> Iterator[Problem]:
    """Compare a config with the graph of each version that Triton would serve."""
    if subject.is_ensemble or effective_backend(subject) != "onnxruntime":
        return
    found = {
        version: list(_version(subject, path))
        for version in served_versions(subject)
        if (path := graph_file(subject, version)) is not None and path.is_file()
    }
    for version, problems in found.items():
        for problem in problems:
            is_of_all = all(problem in others for others in found.values())
            yield problem if is_of_all else replace(problem, what=f"version {version}: {problem.what}")


def _version(subject: Subject, path: Path) -> Iterator[Problem]:
    try:
        graph, operators = read_graph(path), read_operators(path)
    except GraphError as exc:
        fix = f"`inv models.download {quote(subject.name)} --verify` replaces a damaged file by the pinned one"
        yield Problem("not-onnx", str(exc), "ONNX Runtime cannot load it", fix)
        return
    config, refused = complete_version(subject, graph)
    trial = subject.trials.get(trial_request(config, path, graph), Trial("unknown"))
    failures = [*runtime_problems(graph, operators, path, subject), *_external_data(graph, path)]
    yield from failures or load_problems(subject, trial, path)
    if refused:
        yield from refused
        return
    if is_inferred := trial.state == "loaded":
        graph = replace(graph, inputs=trial.inputs, optional_inputs=trial.optional_inputs, outputs=trial.outputs)
    yield from input_problems(config, graph, is_inferred=is_inferred)
    yield from output_problems(config, graph.outputs, is_inferred=is_inferred)
    yield from state_problems(config, graph)
    yield from control_problems(config, graph)
    yield from batch_problems(config, graph, operators, trial)


def _external_data(graph: Graph, path: Path) -> Iterator[Problem]:
    for data in missing_data(graph, path)[:1]:
        file = path.parent / data.location
        size = file.stat().st_size if file.is_file() else None
        yield Problem(
            "external-data-missing",
            f"{file} contains weights of {path.name} and is "
            + ("not there" if size is None else f"cut short: {size} bytes of {data.end}"),
            "ONNX Runtime cannot load the model without its weights",
            'make the entry in models.toml a directory (type = "directory"), so that all files come',
        )
