"""`check` and a real Triton agree on every case of the corpus: it neither cries wolf nor sleeps."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from tests.models.corpus_cases import Case, cases, with_table
from tests.paths import PROJECT
from tests.tasks.command_lines import TASKS
from tritonops.models.catalog.catalog import Catalog
from tritonops.models.check import check
from tritonops.models.checked import Checked
from tritonops.models.disk.repository import Repository
from tritonops.server import command_line
from tritonops.triton.startup.failure_reasons import failure_reasons

pytestmark = pytest.mark.timeout(900)  # three hundred models are loaded, each by a process of its own

CASES = list(cases())
COMPLETED = [case for case in CASES if case.data.get("completes") and not case.source]
ASKED = [case for case in CASES if case not in COMPLETED and not case.source]
by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.topic}:{case.name}")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus") / "triton"
    for case in CASES:
        case.write(root)
    return root


@pytest.fixture(scope="module")
def findings(repository):
    found = {case.name: [] for case in CASES}  # type: ignore[var-annotated]
    for server in dict.fromkeys(case.server for case in CASES):
        checked = Checked(
            Catalog(repository.parent / "models.toml", ()),
            Repository(repository),
            repository.parent / "triton-config",
            repository.parent / "models.lock",
            server,
        )
        for finding in check(checked, include=[case.name for case in CASES if case.server == server]):
            found.setdefault(finding.model, []).append(finding)
    return found


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory, start_module_triton):
    """Whether a real Triton serves each model, and what it says if not."""
    root = tmp_path_factory.mktemp("judged") / "triton"
    for case in ASKED:
        if not is_bad_ensemble(case):
            case.write(root)
    server = start_module_triton(root, timeout=300, model_timeout=240)
    client = InferenceServerClient(server.grpc_url)
    reasons = failure_reasons(server.log.read_text(encoding="utf-8", errors="replace"))
    verdicts = {case.name: (client.is_model_ready(case.name), reasons.get(case.name, "")) for case in ASKED}
    return verdicts | {case.name: _judge(client, case, root, server.log) for case in ASKED if is_bad_ensemble(case)}


@pytest.fixture(scope="module")
def completing_verdicts(tmp_path_factory, start_module_triton):
    """The same of a Triton that completes configs, as NVIDIA's images do; one by one, beside good models."""
    root = tmp_path_factory.mktemp("completed") / "triton"
    for case in CASES:
        if case.data.get("completes") == "beside":
            case.write(root)
    flags = tuple(flag for flag in command_line._FLAGS if flag != "--disable-auto-complete-config")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command_line, "_FLAGS", flags)
        server = start_module_triton(root, timeout=300, model_timeout=240)
    client = InferenceServerClient(server.grpc_url)
    ready = {
        case.name: (client.is_model_ready(case.name), "") for case in COMPLETED if case.data["completes"] == "beside"
    }
    return ready | {
        case.name: _judge(client, case, root, server.log) for case in COMPLETED if case.data["completes"] != "beside"
    }


def is_bad_ensemble(case: Case) -> bool:
    """They are judged one by one, beside good models: a bad ensemble spoils what Triton says of the others."""
    return case.topic == "ensemble"


def _judge(client, case: Case, root: Path, log: Path) -> tuple[bool, str]:
    case.write(root)
    try:
        client.load_model(case.name, client_timeout=120)
    except InferenceServerException as exc:
        # Of a config that the core refuses, the API does not give the reason; it stands in the log.
        logged = failure_reasons(log.read_text(encoding="utf-8", errors="replace")).get(case.name, "")
        return False, f"{exc.message()}\n{logged}"
    finally:
        shutil.rmtree(root / case.name)
    return True, ""


@by_name
def test_check_finds_what_is_expected_as_an_error_only_where_triton_refuses(case: Case, findings):
    assert {finding.code for finding in findings[case.name]} == case.codes, findings[case.name]
    has_error = any(finding.severity == "error" for finding in findings[case.name])
    assert has_error == case.is_error


def test_a_real_triton_confirms_every_case(verdicts):
    """One test, so that one server is asked."""
    assert {case.name: verdicts[case.name] for case in ASKED if not agrees(case, *verdicts[case.name])} == {}


def test_a_real_triton_that_completes_configs_confirms_every_case(completing_verdicts):
    found = {case.name: completing_verdicts[case.name] for case in COMPLETED}
    assert {case.name: found[case.name] for case in COMPLETED if not agrees(case, *found[case.name])} == {}


def test_a_case_for_an_image_cites_a_source_and_one_with_a_source_names_file_and_release():
    assert [case.name for case in CASES if "image" in case.data and not case.source] == []
    patterns = r"\w\.(cc|h|md|py|html|proto|sdk)\b", r"\b[rv]?\d\d\.\d\d\b"
    vague = [case.name for case in CASES if case.source and not all(re.search(each, case.source) for each in patterns)]
    assert vague == []


def agrees(case: Case, is_served: bool, reason: str) -> bool:
    if case.is_served:
        return is_served
    return not is_served and bool(case.says) and case.says in reason


def test_the_corpus_is_large_and_its_backend_rows_cite_nvidias_backend():
    assert sum(bool(case.codes) for case in CASES) >= 40
    judged_by_backend = [case for case in CASES if case.topic == "graph"]
    assert [case.name for case in judged_by_backend if not case.data.get("nvidia")] == []


def test_a_fix_that_names_a_command_names_a_task_with_that_option(findings):
    commands = {
        command
        for found in findings.values()
        for finding in found
        for command in re.findall(r"`inv ([^`]+)`", f"{finding.fix} {finding.why}")
    }
    for words in map(str.split, sorted(commands)):
        options = {f"--{argument.name.replace('_', '-')}" for argument in TASKS[words[0]].get_arguments()}
        assert {word for word in words if word.startswith("--")} <= options, words


def test_the_table_in_the_docs_is_that_of_the_corpus():
    page = (PROJECT / "docs" / "check.md").read_text(encoding="utf-8")
    assert with_table(page) == page, "run: python -m tests.models.corpus_cases"
