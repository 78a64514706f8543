"""Print what models.check found: for people, as JSON, for code scanning, and as annotations of a workflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tasks.output.terminal import count, note, print_json
from tritonops import __version__
from tritonops.display_text import clip, one_line

if TYPE_CHECKING:
    from tritonops.models.rules.finding import Finding


def show_findings(findings: Sequence[Finding], *, format: str, folder: Path) -> None:
    """Print findings as "text", "json", "sarif" or "github"; files inside `folder` are named as seen from there."""
    if format == "json":
        print_json(findings)
    elif format == "sarif":
        print_json(_sarif(findings, folder))
    elif format == "github":
        for finding in findings:
            print(_annotation(finding, folder))
    else:
        _show_text(findings)


def _show_text(findings: Sequence[Finding]) -> None:
    for finding in findings:
        print(f"{finding.severity}: {_safe(finding.model)}: {_safe(finding.what)} [{finding.code}]")
        for file in finding.files:
            print(f"    in {_safe(str(file))}")
        print(f"    {_safe(finding.why)}\n    fix: {_safe(finding.fix)}")
    errors = sum(finding.severity == "error" for finding in findings)
    if not findings:
        note("nothing found")
    elif not errors:
        note(count(len(findings), "warning"))


def _safe(text: str) -> str:
    """Make one line of it that a terminal can show: names come from graphs and folders."""
    return clip(one_line(text), _MAX_TEXT)


_MAX_TEXT = 2000


def _annotation(finding: Finding, folder: Path) -> str:
    """Write a workflow command of GitHub Actions; it ends at a line break, so these are escaped as its toolkit does."""
    properties = {"title": f"{finding.model}: {finding.code}"}
    if finding.files:
        line = {"line": str(finding.line)} if finding.line else {}
        properties = {"file": _relative(finding.files[0], folder), **line, **properties}
    given = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{finding.severity} {given}::{_escaped(_message(finding))}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _sarif(findings: Sequence[Finding], folder: Path) -> dict[str, Any]:
    """SARIF 2.1.0, as GitHub's code scanning takes it: a rule for each code, a result for each finding."""
    codes = sorted({finding.code for finding in findings})
    driver = {"name": "tritonops models.check", "version": __version__, "rules": [{"id": code} for code in codes]}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(finding, folder) for finding in findings]}],
    }


def _result(finding: Finding, folder: Path) -> dict[str, Any]:
    return {
        "ruleId": finding.code,
        "level": finding.severity,
        "message": {"text": _message(finding)},
        "locations": [_location(file, finding.line or 1, folder) for file in finding.files],
    }


def _location(file: Path, line: int, folder: Path) -> dict[str, Any]:
    artifact = {"uri": quote(_relative(file, folder))}
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": line}}}


def _message(finding: Finding) -> str:
    return f"{finding.model}: {finding.what}: {finding.why}. fix: {finding.fix}"


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
