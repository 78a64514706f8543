"""The examples of the help for Compose, run in order with a real engine."""

import json
import shlex

import pytest
from jsonschema import Draft202012Validator

from tasks.command_line.examples import EXAMPLES
from tasks.command_line.json_documents import DOCUMENTS
from tasks.command_line.json_schema import json_schema

pytestmark = [pytest.mark.docker, pytest.mark.slow]
ORDER = ("compose.up", "compose.ps", "compose.logs", "compose.restart", "compose.down")
ELSEWHERE = {"compose.pull": "needs a registry: test_pull", "compose.build-cpu": "takes minutes: test_build_cpu"}


def test_they_do_what_they_show_and_print_what_docs_json_says(project):
    assert {*ORDER, *ELSEWHERE} == {name for name in EXAMPLES if name.startswith("compose.")}
    for name in ORDER:
        for example in EXAMPLES[name]:
            done = project.inv(*shlex.split(example))
            assert done.returncode == 0, (example, done.stdout, done.stderr)
            if "--json" in example:
                Draft202012Validator(json_schema(DOCUMENTS[name])).validate(json.loads(done.stdout))
        assert project.serving() == (set() if name == "compose.down" else {"first"})
