"""Models of the Python backend: model.py, and the environment that it runs in."""

from __future__ import annotations

import ast
import platform
from collections.abc import Iterator
from pathlib import Path

from tritonops.errors import UnreadableFileError
from tritonops.files import read_bytes
from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.rules.config import effective_backend, served_versions
from tritonops.models.rules.files import absent, model_file
from tritonops.models.rules.finding import Problem, Subject

MAX_SOURCE = 4 << 20
_CLASS = "TritonPythonModel"
_FOLDER = "$$TRITON_MODEL_DIRECTORY"


def python_problems(subject: Subject) -> Iterator[Problem]:
    """Find what keeps the Python backend from running a model on disk."""
    if subject.home is None or subject.is_ensemble or effective_backend(subject) != "python":
        return
    yield from _environment(subject.config, subject.home)
    for version in served_versions(subject):
        path = model_file(subject, version)
        if path is not None and path.suffix == ".py" and path.is_file():
            yield from _source(path)


def _environment(config: ModelConfig, home: Path) -> Iterator[Problem]:
    value = config.parameters["EXECUTION_ENV_PATH"].string_value if "EXECUTION_ENV_PATH" in config.parameters else ""
    path = Path(value.replace(_FOLDER, str(home)))
    if not value:
        return
    if not path.is_absolute():
        yield Problem(
            "python-environment",
            f"EXECUTION_ENV_PATH is {value!r}",
            "Triton looks for it in the folder that it was started in: 'Failed to get the canonical path'",
            f"write {_FOLDER}/{path.name}, with two dollars, and put it into {home}",
        )
    elif not path.exists():
        yield Problem(
            "python-environment",
            f"EXECUTION_ENV_PATH: {absent(path)}" + ("" if _FOLDER in value else " on this machine"),
            "Triton does not load the model: 'Failed to get the canonical path'",
            "put it there, or take EXECUTION_ENV_PATH out",
            "error" if _FOLDER in value else "warning",  # an image may have it
        )
    elif path.is_dir() and not (path / "bin" / "activate").exists():
        yield Problem(
            "python-environment",
            f"EXECUTION_ENV_PATH: {absent(path / 'bin' / 'activate')}",
            "Triton does not load the model: \"The Python environment should contain an 'activate' script\"",
            "name an environment of conda-pack, or its archive",
        )


def _source(path: Path) -> Iterator[Problem]:
    try:
        tree = ast.parse(read_bytes(path, MAX_SOURCE))
    except SyntaxError as exc:
        python = f"Python {platform.python_version().rpartition('.')[0]}"
        yield Problem(
            "python-syntax",
            f"{path}, line {exc.lineno}: {exc.msg} (read by {python})",
            "Triton does not load the model: 'SyntaxError'",
            "fix the line",
        )
    except (UnreadableFileError, ValueError, RecursionError, MemoryError) as exc:
        yield Problem(
            "python-syntax", f"{path} is not Python: {exc}", "Triton does not load the model", "write it again"
        )
    else:
        if not _binds_class(tree):
            yield Problem(
                "python-class-missing",
                f"{path} has no class {_CLASS}",
                f"Triton does not load the model: \"has no attribute '{_CLASS}'\"",
                f"write `class {_CLASS}:` with a method `execute`",
            )


def _binds_class(tree: ast.AST) -> bool:
    """Whether anything outside of functions may give a module its class: a definition, an assignment, an import."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.ClassDef(name=name) if name == _CLASS:
                return True
            case ast.Name(id=name, ctx=ast.Store()) if name == _CLASS:
                return True
            case ast.alias(name=name, asname=asname) if (asname or name) in (_CLASS, "*"):
                return True
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                continue
        if _binds_class(node):
            return True
    return False
