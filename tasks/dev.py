"""Development: test, lint, format, typecheck, bench, and the locks of the requirements."""

from __future__ import annotations

import sys
from pathlib import Path

from invoke import Context

from tasks.output.terminal import note, print_json
from tasks.shared.checkout import PROJECT, project, uv
from tasks.shared.options import JSON, names
from tasks.shared.task import task
from tritonops.errors import DifferenceError, InputError, TritonOpsError, near_misses


@task(
    help={
        "path": "Only these test files or folders. Repeatable, or comma-separated.",
        "select": "Only tests whose names match this pytest -k expression.",
        "serial": "Run in one process, and show output immediately.",
    },
    iterable=["path"],
)
def test(c: Context, path: list[str], select: str | None = None, serial: bool = False) -> None:
    """Run the tests in parallel."""
    command = [sys.executable, "-m", "pytest", *(names(path) or ["tests"])]
    # In the order of the folders: xdist would leave the files with few tests for the end, and those of tests/compose,
    # where each test takes seconds, would run on one worker then.
    command += ["-s"] if serial else ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]
    command += ["-k", select] if select else []
    _run(command, "the tests failed")


@task(read_only=True)
def lint(c: Context) -> None:
    """Check style, shell programs and import contracts."""
    _run([sys.executable, "-m", "ruff", "check"], "ruff found something", hint="./inv format fixes most of it.")
    _run([sys.executable, "-m", "ruff", "format", "--check"], "not formatted", hint="Run ./inv format.")
    programs = [*(PROJECT / "tritonops").rglob("*.sh"), PROJECT / "inv", *(PROJECT / ".ci").iterdir()]
    _run([_script("shellcheck"), *map(str, sorted(programs))], "shellcheck found something")
    _run([_script("lint-imports"), "--no-cache", "--no-logo"], "an import runs against the order of the layers")


@task(name="format")
def format_(c: Context) -> None:
    """Format the code, and fix what ruff can fix."""
    _run([sys.executable, "-m", "ruff", "check", "--fix", "--quiet"], "ruff found what it cannot fix")
    _run([sys.executable, "-m", "ruff", "format", "--quiet"], "ruff could not format")


@task(read_only=True)
def typecheck(c: Context) -> None:
    """Check the types."""
    _run([sys.executable, "-m", "mypy"], "mypy found something")


@task(
    help={"name": "Name of a file in benchmarks/.", "arg": "Argument of the benchmark. Repeatable."},
    positional=["name"],
    iterable=["arg"],
)
def bench(c: Context, name: str, arg: list[str]) -> None:
    """Run a benchmark."""
    known = {path.stem: path for path in sorted((PROJECT / "benchmarks").glob("[a-z]*.py"))}
    if name not in known:
        raise InputError(f"benchmarks/ has no {name!r}", hint=near_misses(name, known, "benchmarks"))
    _run([sys.executable, str(known[name]), *arg], f"the benchmark {name} failed")


@task(help=JSON, read_only=True)
def doctor(c: Context, json: bool = False) -> None:
    """Check what this machine needs."""
    from tritonops.doctor import can_serve, examine

    findings = examine(project())
    if json:
        print_json(findings)
    else:
        for found in findings:
            print(f"{'ok' if found.ok else 'not ok':<8} {found.check:<17} {found.detail.splitlines()[0].rstrip(':')}")
            if found.remedy:
                print(f"{'':<26} {found.remedy}")
    if not can_serve(findings, project().settings.runtime):
        raise TritonOpsError("this machine cannot serve models yet")
    missed = ", ".join(found.check for found in findings if not found.ok)
    note(f"this machine can serve models{missed and f'; not ok, and not needed for that: {missed}'}")


@task()
def engine(c: Context) -> None:
    """Set up a Docker engine and the CPU image on Debian."""
    _run([str(PROJECT / ".ci" / "engine")], "the Docker engine could not be set up")


@task(help={"check": "Change nothing; exit 4 if a page differs."})
def docs(c: Context, check: bool = False) -> None:
    """Write the pages of docs/ that come from the code."""
    from tasks.command_line.json_schema import page
    from tritonops.files import write_text

    path, text = PROJECT / "docs" / "json.md", page()
    if path.exists() and path.read_text(encoding="utf-8") == text:
        note(f"docs/{path.name} is current")
        return
    if check:
        raise DifferenceError(f"docs/{path.name} differs from the code", hint="./inv dev.docs writes it.")
    write_text(path, text)
    note(f"docs/{path.name} is written")


@task(help={"upgrade": "Take the newest releases that fit (default: keep locked ones)."})
def relock(c: Context, upgrade: bool = False) -> None:
    """Lock the Python requirements."""
    folder = PROJECT / "requirements"
    for target, options in {
        "dev": ["pyproject.toml", "--extra", "embedded", "--group", "dev"],
        "runtime": ["pyproject.toml", "--extra", "embedded", "--constraint", str(folder / "dev.txt")],
        "kubernetes": ["pyproject.toml", "--constraint", str(folder / "dev.txt")],
        "uv": [str(folder / "uv.in")],
        "triton-cpu": [str(folder / "triton-cpu.in"), "--no-deps", "--constraint", str(folder / "dev.txt")],
    }.items():
        _compile(folder / f"{target}.txt", [*options, *(["--upgrade"] if upgrade else [])])


def _compile(output: Path, options: list[str]) -> None:
    note(f"locking {output.name}")
    command = [uv(), "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--python-version", "3.11"]
    command += ["--no-header", "--no-emit-index-url", "--output-file", str(output), *options]
    _run(command, f"{output.name} could not be locked; it is as it was")


def _script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _run(command: list[str], failure: str, *, hint: str | None = None) -> None:
    import subprocess

    if code := subprocess.run(command, cwd=PROJECT, check=False).returncode:
        raise TritonOpsError(f"{failure} (exit {code})", hint=hint)
