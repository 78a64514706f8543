"""Filling a model repository: this project, huggingface_hub, aria2c and curl, from one local Hub, in turn.

    ./inv bench download                    all scenarios; writes docs/performance.md
    ./inv bench download --arg thin         one of them; writes nothing

ROUNDS sets how often each contender runs (3). Every run begins with nothing on disk and includes its start-up;
in "idle" every model is up to date, as a person finds it some time after the download.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from _timing import PROJECT, machine, write_section

from tritonops.models.disk.digest_cache import SETTLED_NS

ROUNDS = int(os.environ.get("ROUNDS", "3"))
MB = 1_000_000
SMALL = 100 * MB
SIZES = (600, 450, 120, 100, 90, 80, 60, 40, 25, 20, 15)
"""Of eleven models, in MB: two large ones and the rest, as the catalogue's."""


@dataclass(frozen=True)
class Limit:
    """A bound on the ratio of ours to another's, in wall time or in CPU time."""

    other: str
    ratio: float
    of: str = "seconds"


@dataclass(frozen=True)
class Scenario:
    """A link, a catalogue, who competes, and what is expected of us."""

    title: str
    repos: Mapping[str, Mapping[str, Mapping[str, int]]]
    rate: float | None = None
    latency: float = 0.0
    others: tuple[str, ...] = ("snapshot_download", "aria2c", "curl")
    limits: tuple[Limit, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for files in self.repos.values() for kind in files.values() for size in kind.values())


def _large(scale: float) -> dict[str, dict[str, dict[str, int]]]:
    return {f"bench/m{i}": {"lfs": {"model.onnx": int(mb * MB * scale)}} for i, mb in enumerate(SIZES)}


def _tiny() -> dict[str, dict[str, dict[str, int]]]:
    """200 models of 320 files: 120 have a small one beside the LFS file."""
    return {
        f"bench/m{i}": {"lfs": {"onnx/model.onnx": 20_000}, "small": {"onnx/config.json": 500} if i < 120 else {}}
        for i in range(200)
    }


SCENARIOS = {
    "fast": Scenario(
        "1.6 GB in 11 models, loopback, no limit",
        _large(1.0),
        limits=(
            Limit("snapshot_download", 0.40),
            Limit("curl", 1.0),
            Limit("snapshot_download", 0.6, "cpu"),
        ),
    ),
    "long": Scenario(
        "1.6 GB in 11 models, 40 MB/s a connection, 30 ms",
        _large(1.0),
        40e6,
        0.030,
        limits=(Limit("snapshot_download", 0.07), Limit("aria2c", 0.75)),
    ),
    "thin": Scenario(
        "0.3 GB in 11 models, 10 MB/s a connection, 80 ms",
        _large(0.1875),
        10e6,
        0.080,
        limits=(Limit("snapshot_download", 0.06), Limit("aria2c", 1.0)),
    ),
    "tiny": Scenario(
        "200 tiny models (320 files), no lock yet",
        _tiny(),
        others=("snapshot_download",),
        limits=(Limit("snapshot_download", 0.35),),
    ),
    "idle": Scenario(
        "nothing to do, 200 models",
        _tiny(),
        others=("inv --list",),
        limits=(Limit("inv --list", 1.8),),
    ),
}


@dataclass
class Runs:
    """What one contender took in one scenario."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    requests: Mapping[str, int] = field(default_factory=dict)

    def median(self, of: str) -> float:
        """Take the middle of its seconds, of its CPU seconds, or of its peaks in MiB."""
        return float(statistics.median(getattr(self, of)))


class HubProcess:
    """The Hub of one scenario."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.repos = scenario.repos
        command = [sys.executable, str(PROJECT / "benchmarks" / "_hub.py"), str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        answer = self._ask({"rate": scenario.rate, "latency": scenario.latency, "repos": scenario.repos})
        self.endpoint = str(answer["endpoint"])

    def count(self) -> Mapping[str, int]:
        """Requests by kind, and bytes, since the last time."""
        return self._ask({})

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _ask(self, question: object) -> Mapping[str, int]:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(question), file=self._process.stdin, flush=True)
        answer: Mapping[str, int] = json.loads(self._process.stdout.readline())
        return answer

    def urls(self) -> Iterator[tuple[str, str]]:
        """Each file's name for a folder, and its URL."""
        for repo_id, files in self.repos.items():
            for path in {**files["lfs"], **files.get("small", {})}:
                yield f"{repo_id}/{path}".replace("/", "_"), f"{self.endpoint}/{repo_id}/resolve/main/{path}"


def ours(hub: HubProcess, folder: Path) -> list[str]:
    """models.toml in, models.download."""
    entries = [_entry(repo_id, files) for repo_id, files in hub.repos.items()]
    (folder / "models.toml").write_text("\n".join(entries))
    return [str(PROJECT / "inv"), "models.download"]


def _entry(repo_id: str, files: Mapping[str, Mapping[str, int]]) -> str:
    is_file = "model.onnx" in files["lfs"]
    kind = 'type = "single_file"\nmodel_path = "model.onnx"' if is_file else 'type = "directory"\nsubfolder = "onnx"'
    return f'[[models.{repo_id.partition("/")[2]}]]\nrepo_id = "{repo_id}"\ntriton_version = 1\n{kind}\n'


SNAPSHOTS = """
import sys
from huggingface_hub import snapshot_download
for repo_id in sys.argv[1:]:
    snapshot_download(repo_id, token=False)
"""


def snapshots(hub: HubProcess, folder: Path) -> list[str]:
    """huggingface_hub, one model after the other."""
    return [sys.executable, "-c", SNAPSHOTS, *hub.repos]


def aria2c(hub: HubProcess, folder: Path) -> list[str]:
    """aria2c at its best; it checks no hash."""
    (folder / "urls").write_text("".join(f"{url}\n  out={name}\n" for name, url in hub.urls()))
    options = ["-x16", "-s16", "-j8", "-k1M", "--file-allocation=none", "--quiet", f"--dir={folder}/out"]
    return ["aria2c", *options, f"--input-file={folder}/urls"]


def curl(hub: HubProcess, folder: Path) -> list[str]:
    """Curl --parallel: one connection a file; it checks no hash."""
    (folder / "out").mkdir()
    pairs = (f'url = "{url}"\noutput = "{folder}/out/{name}"\n' for name, url in hub.urls())
    (folder / "urls").write_text("".join(pairs))
    return ["curl", "--silent", "--fail", "--location", "--parallel", "--parallel-max", "64", "-K", f"{folder}/urls"]


def listing(hub: HubProcess, folder: Path) -> list[str]:
    """What the suite costs before it does anything."""
    return [str(PROJECT / "inv"), "--list"]


CONTENDERS: dict[str, Callable[[HubProcess, Path], list[str]]] = {
    "tritonops": ours,
    "snapshot_download": snapshots,
    "aria2c": aria2c,
    "curl": curl,
    "inv --list": listing,
}
NEEDED = {"aria2c": "apt-get install aria2", "curl": "apt-get install curl"}


def measure(scenario: Scenario, *, rounds: int, keep: bool) -> dict[str, Runs]:
    """Run every contender in turn, `rounds` times."""
    figures = {name: Runs() for name in ("tritonops", *scenario.others)}
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        served = Path(temporary, "hub")
        served.mkdir()
        hub = HubProcess(scenario, served)
        try:
            for number in range(rounds):
                first = number % len(figures)  # what ran before a contender is not the same each time
                turns = list(figures.items())
                for name, runs in turns[first:] + turns[:first]:
                    place = Path(temporary, name.replace(" ", "") + ("" if keep else f"-{number}"))
                    # Small ones stay until the end: some filesystems avoid the inodes of files just deleted, slowly.
                    with _folder(place, keep=keep or scenario.size < SMALL) as folder:
                        if keep and number == 0 and name == "tritonops":
                            _download_yesterday(hub, folder)
                        hub.count()
                        os.sync()  # nobody's time includes the writing back of what the Hub, or another, wrote
                        touch_memory(scenario.size)
                        _run(CONTENDERS[name](hub, folder), folder, hub, runs)
                        runs.requests = hub.count()
        finally:
            hub.close()
    return figures


@contextmanager
def _folder(folder: Path, *, keep: bool) -> Iterator[Path]:
    folder.mkdir(exist_ok=keep)
    yield folder
    if not keep:
        shutil.rmtree(folder)


def _download_yesterday(hub: HubProcess, folder: Path) -> None:
    """Download all, and look again once the files are so old that their digests are kept, as a person finds them."""
    _run(ours(hub, folder), folder, hub, Runs())
    time.sleep(SETTLED_NS / 1e9)
    _run(ours(hub, folder), folder, hub, Runs())


TOUCH = """
import mmap, sys
block = bytes(1 << 20)
with mmap.mmap(-1, int(sys.argv[1]) + len(block)) as memory:
    for _ in range(len(memory) // len(block)):
        memory.write(block)
"""


def touch_memory(size: int) -> None:
    """Have so many bytes of memory, and half as many again, free and at hand, for the page cache to take.

    A virtual machine may have given idle memory back to its host. To fetch a page of it again takes longer than to
    download one, and would be counted as the time and the CPU of the one that came first.
    """
    # In a process of its own: what it takes would count as the peak of those that are started from here.
    subprocess.run([sys.executable, "-c", TOUCH, str(size * 3 // 2)], check=True)


def _run(command: Sequence[str], folder: Path, hub: HubProcess, runs: Runs) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HF_", "TRITON"))}
    env |= {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "MODELS_TOML": str(folder / "models.toml"),
        "TRITON_MODELS_DIR": str(folder / "triton"),
    }
    started = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr
    errors = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    runs.seconds.append(time.perf_counter() - started)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[:3]} ended with {process.returncode}:\n{errors[-2000:]}")
    runs.cpu.append(usage.ru_utime + usage.ru_stime)
    runs.memory.append(usage.ru_maxrss / 1024)


def table(name: str, scenario: Scenario, figures: Mapping[str, Runs]) -> str:
    """Write one scenario as Markdown: a row a contender, then what was expected."""
    us = figures["tritonops"]
    lines = [
        f"#### {scenario.title}",
        "",
        "| | wall | CPU | peak memory | requests | ours ÷ this |",
        "|---|---|---|---|---|---|",
    ]
    for contender, runs in figures.items():
        ratio = "" if runs is us else f"{us.median('seconds') / runs.median('seconds'):.2f}"
        lines.append(
            f"| {contender} | {runs.median('seconds'):.2f} s | {runs.median('cpu'):.2f} s |"
            f" {runs.median('memory'):.0f} MiB | {runs.requests.get('all', 0)} | {ratio} |"
        )
    lines.append("")
    for limit in scenario.limits:
        ratio_of = us.median(limit.of) / figures[limit.other].median(limit.of)
        verdict = "met" if ratio_of <= limit.ratio else "MISSED"
        what = "wall time" if limit.of == "seconds" else "CPU time"
        lines.append(f"- {what} at most {limit.ratio} × {limit.other}: {ratio_of:.2f}, {verdict}")
    return "\n".join([*lines, ""])


def main() -> None:
    asked = sys.argv[1:] or list(SCENARIOS)
    for tool in {tool for name in asked for tool in SCENARIOS[name].others} & NEEDED.keys():
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is not installed: {NEEDED[tool]}")
    tables = []
    for name in asked:
        scenario = SCENARIOS[name]
        is_idle = name == "idle"
        tables.append(table(name, scenario, measure(scenario, rounds=ROUNDS * (5 if is_idle else 1), keep=is_idle)))
        print(tables[-1], flush=True)
    if not sys.argv[1:]:
        rounds = f"median of {ROUNDS} round(s), contenders in turn; the Hub runs on the same cores"
        write_section("download", "\n".join([f"Measured on: {machine()}; {rounds}.", "", *tables]))


if __name__ == "__main__":
    main()
