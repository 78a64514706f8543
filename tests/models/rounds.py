"""Rounds of commands at once: nothing that was reported done is lost, and nothing that was removed comes back.

    .venv/bin/python -m tests.models.rounds [ROUNDS] [SEED]

Each round starts real processes at random moments against the test Hub: two additions, four downloads, a removal with
files, a prune, a config and a lock. Then it compares what they reported with models.toml, models.lock and the disk.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.hub.server import Hub, Link
from tests.models.catalogs import one_file, one_folder
from tests.onnx_models import affine
from tests.paths import PROJECT
from tritonops.models.catalog.lockfile import load_lock
from tritonops.models.catalog.parsing import load_catalog

TIMEOUT = 120.0
"""Seconds for all commands of a round together."""

LOSER = re.compile(r"meanwhile|has no model 'gone'|removed by somebody else")
"""What a command may fail with: its model was removed by another one."""


@dataclass
class Ended:
    """A command that ran."""

    arguments: tuple[str, ...]
    code: int
    output: str


@dataclass
class Tally:
    """What came of all rounds."""

    codes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    """Run the rounds, and print one line each; exit 1 where one is wrong."""
    count, seed = (int(value) for value in [*sys.argv[1:], *("50", "1")[len(sys.argv) - 1 :]])
    tally, wrong = Tally(), 0
    with tempfile.TemporaryDirectory(prefix="rounds-") as temporary, Hub(Path(temporary)) as hub:
        push_models(hub)
        for number in range(count):
            folder = Path(temporary, f"round-{number}")
            problems = run_round(hub, folder, random.Random(seed * 1000 + number), tally)
            print(f"round {number}: {tally.seconds[-1]:.1f} s, {'; '.join(problems) or 'as it should be'}", flush=True)
            wrong += bool(problems)
    for command, times in sorted(tally.codes.items()):
        print(f"{times:5d} × {command}")
    print(f"{count} rounds, {wrong} wrong; {sum(tally.seconds):.0f} s")
    raise SystemExit(1 if wrong else 0)


def push_models(hub: Hub) -> None:
    """Put six models on the Hub: of one file, and of a folder with a small file without SHA-256."""
    weights = random.Random(5)
    for number, name in enumerate(("base", "gone", "late", "first", "second", "folder")):
        content = affine(float(number)).SerializeToString()
        if name == "folder":
            hub.push(f"team/{name}", {"onnx/model.onnx": content}, small={"onnx/notes.json": b"{}"})
        else:
            hub.push(f"team/{name}", {"model.onnx": content, "model.bin": weights.randbytes(400_000)})


def run_round(hub: Hub, folder: Path, dice: random.Random, tally: Tally) -> list[str]:
    """Run all commands once, at once; say what is wrong afterwards."""
    _lay_out(folder)
    hub.link = Link(bytes_per_second=dice.choice([2e5, 2e6]), latency=dice.choice([0.0, 0.02]))
    if dice.random() < 0.5:  # half of the rounds begin with everything on disk
        _run(hub, folder, "models.download")
    started = time.monotonic()
    ended = _run_at_once(hub, folder, dice)
    tally.seconds.append(time.monotonic() - started)
    tally.codes.update(f"{each.arguments[0]} exit {each.code}" for each in ended)
    return [*_wrong_exits(ended), *_wrong_results(folder, ended), *_wrong_afterwards(hub, folder)]


def _lay_out(folder: Path) -> None:
    folder.mkdir()
    entries = [one_file(name, f"team/{name}") for name in ("base", "gone", "late")]
    (folder / "models.toml").write_text("".join(["# The models.\n", *entries, one_folder("folder", "team/folder")]))
    for name in ("base", "gone", "late", "folder"):
        (folder / "triton-config" / name).mkdir(parents=True)
        (folder / "triton-config" / name / "cpu.pbtxt").write_text(f'# of {name}\nbackend: "onnxruntime"\n')


def _commands(dice: random.Random) -> list[tuple[str, ...]]:
    from_hub = ("--file", "model.onnx", "--cpu")
    commands: list[tuple[str, ...]] = [
        ("models.add", "first", "--repo-id", "team/first", *from_hub),
        ("models.add", "second", "--repo-id", "team/second", *from_hub),
        ("models.download",),
        ("models.download", "--include", "base,gone"),
        ("models.download", "--overwrite"),
        ("models.download", "--include", "gone"),
        ("models.remove", "gone", "--files", "--yes"),
        ("models.prune", "--yes"),
        ("models.config", "--cpu"),
        dice.choice([("models.lock",), ("models.lock", "--include", "gone")]),
    ]
    dice.shuffle(commands)
    return commands


def _run_at_once(hub: Hub, folder: Path, dice: random.Random) -> list[Ended]:
    processes = []
    for arguments in _commands(dice):
        time.sleep(dice.choice([0, 0, 0.05, 0.2]))
        processes.append((arguments, _start(hub, folder, *arguments)))
    deadline = time.monotonic() + TIMEOUT
    return [_end(arguments, process, deadline) for arguments, process in processes]


def _run(hub: Hub, folder: Path, *arguments: str) -> Ended:
    return _end(arguments, _start(hub, folder, *arguments), time.monotonic() + TIMEOUT)


def _start(hub: Hub, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    program = [sys.executable, "-P", str(PROJECT / "tasks" / "shared" / "program.py"), "--write-pyc"]
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": "",
        "MODELS_TOML": "models.toml",
        "TRITON_MODELS_DIR": "triton",
        "TRITON_CONFIG_DIR": "triton-config",
    }
    arguments = ("--search-root", str(PROJECT), *arguments)
    return subprocess.Popen(
        [*program, *arguments], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _end(arguments: tuple[str, ...], process: subprocess.Popen[str], deadline: float) -> Ended:
    try:
        output, _ = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        return Ended(arguments, -1, f"did not end; {output}")
    return Ended(arguments, process.returncode, output)


def _wrong_exits(ended: list[Ended]) -> Iterator[str]:
    for each in ended:
        may_lose = "gone" in " ".join(each.arguments) or len(each.arguments) < 3
        is_loser = each.code in (1, 2) and may_lose and LOSER.search(each.output)
        if (each.code and not is_loser) or "Traceback" in each.output:
            yield f"{' '.join(each.arguments)} ended with {each.code}: {each.output.strip()}"


def _wrong_results(folder: Path, ended: list[Ended]) -> Iterator[str]:
    """Compare what was reported done with what there is."""
    labels = {entry.label for entry in load_catalog(folder / "models.toml").versions}
    for each in (each for each in ended if each.code == 0):
        name = each.arguments[1] if len(each.arguments) > 1 else ""
        if each.arguments[0] == "models.add":
            if f"{name}/1" not in labels:
                yield f"the addition of {name} was lost"
            if not (folder / "triton" / name / "config.pbtxt").exists():
                yield f"{name} was added without its config"
        elif each.arguments[0] == "models.remove":
            if "gone/1" in labels:
                yield "the entry of gone came back"
            places = ("triton", "triton-disabled", "triton-config", ".store/configs")
            yield from (f"{place}/gone came back" for place in places if (folder / place / "gone").exists())
        elif each.arguments[0] == "models.config":
            for model in ("base", "late", "folder"):
                path = folder / "triton" / model / "config.pbtxt"
                if not path.exists() or path.read_text() != f'# of {model}\nbackend: "onnxruntime"\n':
                    yield f"the config of {model} was lost"


def _wrong_afterwards(hub: Hub, folder: Path) -> Iterator[str]:
    text = (folder / "models.toml").read_text()
    labels = {entry.label for entry in load_catalog(folder / "models.toml").versions}
    pins = load_lock(folder / "models.lock")
    if not text.startswith("# The models.\n"):
        yield "models.toml lost its comment"
    if labels != pins.keys():
        yield f"models.toml has {sorted(labels)}, models.lock has {sorted(pins)}"
    installed = {
        f"{model.name}/{version.name}"
        for model in sorted((folder / "triton").iterdir())
        for version in model.iterdir()
        if version.is_dir()
    }
    if installed != labels:
        yield f"models.toml has {sorted(labels)}, on disk are {sorted(installed)}"
    for label in sorted(installed & pins.keys()):
        for file in pins[label].files:
            path = folder / "triton" / label / file.path
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
                yield f"{path} is not what models.lock says"
    left = [path.name for path in folder.glob(".*.partial")] + list(map(str, folder.glob(".store/staging/*")))
    if left:
        yield f"left behind: {left}"
    for command in (("models.lock", "--check"), ("models.download", "--verify")):
        after = _run(hub, folder, *command)
        if after.code:
            yield f"{' '.join(command)} afterwards ended with {after.code}: {after.output.strip()}"


if __name__ == "__main__":
    main()
