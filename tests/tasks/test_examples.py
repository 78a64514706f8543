"""The examples of the help: those for this machine are run with a real Triton, the others are read."""

import json
import shlex
import shutil

import pytest
from jsonschema import Draft202012Validator

from tasks.command_line.examples import EXAMPLES
from tasks.command_line.json_documents import DOCUMENTS
from tasks.command_line.json_schema import json_schema, page
from tasks.command_line.task_contexts import TaskContexts
from tasks.command_line.words import CommandLine
from tests.onnx_models import affine, write_model
from tests.paths import PROJECT
from tests.tasks.command_lines import COLLECTION, TASKS

HERE = ("models.", "triton.", "server.", "completion")
ORDER = (
    *("models.list", "models.lock", "models.download", "models.config", "models.check", "models.generate-config"),
    *("models.add", "models.remove", "models.disable", "models.enable", "models.prune", "server.up", "server.status"),
    *("triton.list", "triton.apply", "triton.plan", "triton.load", "triton.ready", "triton.config", "triton.infer"),
    *("triton.stats", "triton.smoke", "triton.serve", "triton.unload", "server.logs", "server.restart", "server.down"),
    "completion",
)
OPPOSITES = {"models.enable": "models.disable", "models.disable": "models.enable"}
"""What is run before, so that there is something to do."""
DIFFERENT = {"models.lock", "models.config", "triton.plan"}
"""Tasks that may exit with 4 in these examples."""
WITHOUT_JSON = {"completion", "test", "lint", "format", "typecheck", "bench", "dev.docs", "dev.engine", "dev.relock"}


def test_every_task_has_two_examples_of_itself():
    assert EXAMPLES.keys() == TASKS.keys()
    for name, examples in EXAMPLES.items():
        assert len(set(examples)) == 2
        assert all(name in example.split() for example in examples)


@pytest.mark.parametrize("example", [example for examples in EXAMPLES.values() for example in examples])
def test_an_example_is_a_command_line_without_a_mistake(example):
    words = shlex.split(example)
    words = words[: words.index("--")] if "--" in words else words
    from tasks.shared.program import TaskProgram

    core = TaskProgram(namespace=COLLECTION, binary="inv").initial_context
    assert CommandLine(core, TaskContexts(COLLECTION)).resolve(words).tasks


@pytest.fixture
def folder(project_of_two, monkeypatch, free_server, hub):
    """The project of the examples: clip and siglip, a file to add, an input, and no server yet."""
    made = project_of_two / "made"
    write_model(made, "digits", {1: affine(3, 1)})
    (made / "digits/1/model.onnx").rename(project_of_two / "digits.onnx")
    hub.push("team/digits", {"onnx/model.onnx": (project_of_two / "digits.onnx").read_bytes()})
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    (project_of_two / "input.json").write_text('{"x": [[1, 2, 3]]}')
    (project_of_two / "configs/clip/smoke.json").write_text(
        '{"inputs": {"x": [[1, 2, 3]]}, "outputs": {"y": [[2, 4, 6]]}}'
    )
    monkeypatch.chdir(project_of_two)
    free_server()
    return project_of_two


def test_the_examples_for_this_machine_run_in_order_and_print_what_docs_json_says(inv, folder):
    for name in ORDER:
        for example in EXAMPLES[name]:
            if "--host" in example:
                continue
            words = shlex.split(example)
            if opposite := OPPOSITES.get(name):
                inv(opposite, *[word for word in words[1:] if word != "--yes"])
            code, out, err = inv(*words)
            assert code == 0 or (code == 4 and name in DIFFERENT), (example, out, err)
            if name in DOCUMENTS:
                words = [word for word in words if word != "--json"]
                if name in ("models.add", "models.remove", "models.enable", "models.disable"):
                    continue
                code, out, err = inv(*words, "--json")
                assert code == 0 or (code == 4 and name in DIFFERENT), (example, out, err)
                Draft202012Validator(json_schema(DOCUMENTS[name])).validate(json.loads(out))
    assert {name for name in TASKS if name.startswith(HERE)} == {*ORDER}


def test_tasks_that_move_models_print_their_documents(inv, folder):
    assert inv("models.download")[0] == 0
    for words in (
        ["models.disable", "clip", "siglip"],
        ["models.enable", "clip"],
        ["models.add", "digits", "--path", "digits.onnx", "--cpu"],
        ["models.remove", "digits", "--files", "--yes"],
    ):
        code, out, err = inv(*words, "--json")
        assert code == 0, err
        Draft202012Validator(json_schema(DOCUMENTS[words[0]])).validate(json.loads(out))


def test_every_task_but_the_development_ones_has_a_document_and_the_page_is_current():
    with_json = {name for name, task in TASKS.items() if any(each.name == "json" for each in task.get_arguments())}
    assert with_json == DOCUMENTS.keys() == TASKS.keys() - WITHOUT_JSON
    assert (PROJECT / "docs/json.md").read_text() == page(), "./inv dev.docs writes it"


def test_an_error_is_a_document_too_also_where_several_tasks_run(inv, folder):
    shutil.rmtree(folder / "configs")
    code, out, _ = inv("models.list", "--json", "models.generate-config", "nothing", "--json")
    listed, error = map(json.loads, out.splitlines())
    assert code == 2
    assert [row["name"] for row in listed] == ["clip", "siglip"]
    assert error["error"]["exit_code"] == 2
    assert "nothing" in error["error"]["message"]
