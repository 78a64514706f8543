"""The project speaks its field's language: words of its own that were replaced do not return."""

from __future__ import annotations

import re
import subprocess

from tests.paths import PROJECT

REPLACED = {
    r"\bhold(s|ing|er)?\b|\bheld\b|\bg[ia]ves? free\b": "lock, lock owner, unlock; contain, apply",
    r"\bputs? back\b|\bPutBack": "roll back, restore",
    r"\bbring(s|ing)?\b|\bbrought\b": "serve, load, install, copy",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bthere already\b": "up to date",
    r"\bunder way\b": "in flight, in progress",
    r"\bwithout a pause\b": "without downtime",
    r"\banew\b": "again, re-",
    r"\bout of (Triton's )?sight\b": "hidden from Triton",
    r"\bmakes it so\b": "applies these changes",
    r"\bis up already\b": "is running",
    r"\bgo on until\b": "follow the output",
    r"\bSupply\b|\bcrew\b": "Fetcher, WorkerPool",
    r"\bWishes\b|\bAssembly\b": "ConfigOptions, FileDownload",
    r"\bwanted\b": "declared, expected, requested",
    r"\bsaid\b": "output, message; reported",
    r"\bfacts\b": "the name of what they are about",
    r"\bwhoever\b": "client, caller, anyone who",
    r"\bfare[sd]?\b": "inference statistics",
}
ALLOWED = {
    "CHANGELOG.md": ("Open Food Facts", "`put back` is now", "`held` is now"),
    "LICENSE": ("hold each Contributor",),
    "docs/production.md": ("--hold",),
    "models.toml": ("Open Food Facts",),
    "tasks/command_line/examples.py": ("--hold",),
    "tasks/command_line/value_names.py": ('"hold"',),
    "tasks/plans.py": ("Bring disk and server in line",),
    "tasks/remote.py": ('"hold": "', "hold: str", "if hold:", "why=hold"),
    "tests/remote/client/test_fleet.py": ("--hold",),
    "tests/remote/layout/test_records.py": ('"put back"',),
    "tests/remote/test_tasks.py": ("--hold", '"put back"'),
    "tritonops/remote/layout/records.py": ('"put back"',),
    "tritonops/triton/apply.py": ("Bring disk and server in line",),
}
"""Options, names and words of earlier records that stay."""


def test_no_tracked_text_has_a_word_that_was_replaced():
    found = [
        f"{path}:{number}: {match.group()!r}: {words}"
        for path, number, line in tracked_lines()
        for pattern, words in REPLACED.items()
        for match in re.finditer(pattern, line, re.IGNORECASE)
    ]
    assert not found, "\n".join(found)


def test_each_exception_is_needed():
    texts = {path: (PROJECT / path).read_text() for path in ALLOWED}
    assert not [(path, phrase) for path, phrases in ALLOWED.items() for phrase in phrases if phrase not in texts[path]]


def tracked_lines():
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=PROJECT).decode().split("\0")
    for name in filter(None, names):
        path = PROJECT / name
        if path.is_symlink() or not path.is_file() or name == "tests/test_words.py":
            continue
        content = path.read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
            for phrase in ALLOWED.get(name, ()):
                line = line.replace(phrase, "")
            yield name, number, line
