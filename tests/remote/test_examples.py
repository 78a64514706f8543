"""The examples of the help for hosts, run in order on two hosts."""

from __future__ import annotations

import json
import shlex

import pytest
from jsonschema import Draft202012Validator

from tasks.command_line.examples import EXAMPLES
from tasks.command_line.json_documents import DOCUMENTS
from tasks.command_line.json_schema import json_schema
from tests.remote.project import Site

ORDER = (
    *("remote.doctor", "remote.env", "remote.plan", "remote.deploy", "remote.status", "remote.releases"),
    *("remote.run", "remote.logs", "remote.audit", "remote.lock", "remote.restart", "remote.rollback"),
)
MAY_DIFFER = {"remote.plan": 4, "remote.deploy": 4, "remote.doctor": 1, "remote.run": 1}
"""The exit codes of a difference, of a problem that doctor found (the clock, ...), and of a task on the host."""

A_RELEASE = "r000041-1bce04d"
"""The id of a release in an example."""


@pytest.mark.slow
def test_the_examples_for_hosts_run_in_order_and_print_what_docs_json_says(tmp_path):
    assert {*ORDER} == {name for name in EXAMPLES if name.startswith("remote.")}
    with Site.at(tmp_path, "gpu-01", "gpu-02") as site:
        site.serve(alpha=1)
        site.clone.inv("models.download")
        site.clone.commit("locked")
        (site.clone.folder / "settings.env").write_text("RESTART_POLICY=always\n")
        for scale in (1, 2):  # so that there are releases to roll back to
            site.serve(alpha=scale)
            site.clone.inv("remote.deploy", "--host", "gpu-01,gpu-02")
        site.serve(alpha=3)
        first = min(each.name for each in (site.servers["gpu-01"].root / "releases").iterdir())
        for name in ORDER:
            for example in EXAMPLES[name]:
                words = [first if word == A_RELEASE else word for word in shlex.split(example)]
                done = site.clone.inv(*words, check=False)
                assert done.returncode in (0, MAY_DIFFER.get(name, 0)), (example, done.stdout, done.stderr)
                if "--json" in example and "--" not in example.split():
                    Draft202012Validator(json_schema(DOCUMENTS[name])).validate(json.loads(done.stdout))
