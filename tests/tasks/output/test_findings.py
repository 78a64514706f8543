"""Findings for people, code scanning and workflows."""

import json
from pathlib import Path

from tasks.output.findings import show_findings
from tritonops.models.rules.finding import Finding

FOLDER = Path("/home/me/clone")
FINDINGS = (
    Finding("clip", "no-config", "error", (FOLDER / "triton-config/a b/gpu.pbtxt",), "what: 1,2", "why\nso", "fix it"),
    Finding("bare", "not-downloaded", "warning", (), "it is not there", "Triton serves what is on disk", "download"),
)


def test_sarif_has_a_result_for_each_finding_with_its_file_as_a_relative_uri(capfd):
    show_findings(FINDINGS, format="sarif", folder=FOLDER)
    run = json.loads(capfd.readouterr().out)["runs"][0]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["no-config", "not-downloaded"]
    first, second = run["results"]
    assert (first["ruleId"], first["level"]) == ("no-config", "error")
    location = first["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": "triton-config/a%20b/gpu.pbtxt"}
    assert second["locations"] == []


def test_github_gets_a_line_for_each_finding_with_line_breaks_and_separators_escaped(capfd):
    show_findings(FINDINGS, format="github", folder=FOLDER)
    assert capfd.readouterr().out.splitlines() == [
        "::error file=triton-config/a b/gpu.pbtxt,title=clip%3A no-config::clip: what: 1,2: why%0Aso. fix: fix it",
        "::warning title=bare%3A not-downloaded::bare: it is not there: Triton serves what is on disk. fix: download",
    ]


def test_what_a_graph_or_a_folder_is_called_does_not_reach_the_terminal_as_it_is(capfd):
    strange, long = "a\x1b[31m\nb", "b" * 1_000_000
    show_findings([Finding("a", "x", "error", (), long, long, long)], format="text", folder=FOLDER)
    assert len(capfd.readouterr().out) < 10_000
    show_findings(
        [Finding(strange, "no-config", "error", (FOLDER / strange,), strange, strange, strange)],
        format="text",
        folder=FOLDER,
    )
    assert capfd.readouterr().out == (f"error: a b: a b [no-config]\n    in {FOLDER}/a b\n    a b\n    fix: a b\n")


def test_a_format_that_is_none_is_named(inv):
    code, _, err = inv("models.check", "--format", "xml")
    assert (code, err) == (2, "error: --format: expected text, json, sarif or github, got 'xml'\n")
