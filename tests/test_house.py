"""The shape of the code: its rooms, the tests of each module, the directions of imports, the sizes."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import PROJECT

PACKAGE = PROJECT / "tritonops"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
STILL_LARGE: set[str] = set()
"""Modules that have yet to be split."""
MOST_MODULES, MOST_LINES, MOST_LINES_OF_A_FUNCTION = 14, 300, 50
TESTED_ELSEWHERE: dict[str, str] = {
    "models/graphs/wire": "tests/models/graphs/test_onnx_graph.py reads whole files with it",
    "models/catalog_findings": "tests/models/test_check.py checks whole projects",
    "kubernetes/deploy": "tests/kubernetes/cluster deploys to a real cluster",
    "kubernetes/plan": "tests/kubernetes/cluster compares with a real cluster",
    "kubernetes/rollback": "tests/kubernetes/cluster rolls back on a real cluster",
    "kubernetes/status": "tests/kubernetes/cluster reads a real cluster",
    "kubernetes/rollout/preview": "tests/kubernetes/cluster compares with a real cluster",
    "models/graphs/trial_program": "a program of its own: tests/models/graphs/test_trial.py runs it",
}
"""Modules of more than 60 lines without a test file at their mirrored path, and why."""


def name(path):
    return str(path.relative_to(PACKAGE).with_suffix(""))


def lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_a_module_over_60_lines_has_a_test_file_at_its_mirrored_path_or_a_reason():
    large = [name(path) for path in MODULES if lines(path) > 60 and "backends" not in path.parts]
    missing = {
        each for each in large if not (PROJECT / "tests" / each).with_name(f"test_{Path(each).name}.py").exists()
    }
    assert missing == TESTED_ELSEWHERE.keys()


def test_no_room_has_too_many_modules_and_no_module_too_many_lines():
    folders = {path.parent for path in MODULES}
    assert [str(folder) for folder in folders if len([*folder.glob("[a-z]*.py")]) > MOST_MODULES] == []
    product = [*MODULES, *(PROJECT / "tasks").rglob("*.py")]
    large = {str(path.relative_to(PROJECT)) for path in product if lines(path) > MOST_LINES}
    assert large - {"tritonops/errors.py"} == STILL_LARGE


def test_no_function_is_long_but_for_the_signatures_of_tasks():
    long = [
        f"{name(path)}.{function.name}"
        for path in MODULES
        for function in functions(path)
        if (function.end_lineno or 0) - function.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_only_settings_and_one_module_below_them_read_the_environment_of_the_process():
    programs = {"models/graphs/trial_program.py", "testing/fixtures.py"}  # of their own, and pytest's
    readers = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if "backends" not in path.parts and re.search(r"\bos\.(environ|getenv)|sys\.argv|Path\.cwd", path.read_text())
    }
    assert readers - programs == {"settings.py", "process_environment.py"}


def test_no_imports_go_in_a_circle_also_none_for_types_alone():
    graph = {module(path): imported(path) for path in PACKAGE.rglob("*.py")}
    assert circle(graph) == []


def module(path):
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def imported(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tritonops"):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                is_module = (PROJECT / full.replace(".", "/")).with_suffix(".py").exists()
                found.add(full if is_module else node.module)
    return found


def circle(graph):
    """Drop modules that import nothing of what is left; what remains imports itself, at last."""
    left = dict(graph)
    while leaves := [each for each, needs in left.items() if not needs & (left.keys() - {each})]:
        for each in leaves:
            del left[each]
    return sorted(left)


def test_ruff_sees_the_python_files_that_git_tracks():
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=PROJECT, capture_output=True, text=True, check=True)
    seen = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--show-files"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    shown = {str(Path(path).relative_to(PROJECT)) for path in seen.stdout.split() if path.endswith(".py")}
    assert {path for path in tracked.stdout.split() if (PROJECT / path).exists()} <= shown


FORBIDDEN = {
    "tritonops/settings.py": "tritonops.triton.apply",
    "tritonops/models/catalog/valid_values.py": "tritonops.project",
    "tritonops/models/disk/store.py": "tritonops.models.install.state",
    "tritonops/models/http/response_headers.py": "tritonops.models.disk.store",
    "tritonops/triton/client/client.py": "tritonops.triton.load",
    "tritonops/compose/engine/docker.py": "tritonops.compose.service",
    "tritonops/remote/host/mirror.py": "tritonops.remote.ssh.host",
    "tritonops/kubernetes/render.py": "tritonops.remote.plan",
    "tritonops/kubernetes/manifests/names.py": "tritonops.project",
}


@pytest.mark.parametrize("importer", FORBIDDEN)
def test_an_import_against_the_order_of_the_rooms_is_found(importer, tmp_path):
    for path in PACKAGE.rglob("*.py"):
        target = tmp_path / path.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((PROJECT / "pyproject.toml").read_bytes())
    wrong = tmp_path / importer
    wrong.write_text(f"{wrong.read_text(encoding='utf-8')}\nimport {FORBIDDEN[importer]}\n", encoding="utf-8")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert FORBIDDEN[importer] in done.stdout
