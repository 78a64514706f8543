"""Deploys over SSH, against real sshd and real Tritons on this machine: how long, how many bytes.

    ./inv bench remote                      the table of docs/performance.md, which it writes
    ./inv bench remote --arg latency        16 hosts against one, with 50 ms added to each way
    ./inv bench remote --arg push           a push of 300 MB in which one small file changed
    ./inv bench remote --arg earlier --arg COMMIT
                                            a command, and a deploy with nothing to do, against an earlier commit

HOSTS, ROUNDS and MEGABYTES say how many; all sshd, Tritons and this client share the processors of one machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from _timing import PROJECT, checkout, machine, write_section

from tests.remote.project import Site
from tests.remote.wire import Wire
from tritonops.remote.ssh.host import Host

HOSTS = [f"gpu-{number:02}" for number in range(1, int(os.environ.get("HOSTS", "16")) + 1)]
ROUNDS = int(os.environ.get("ROUNDS", "5"))
MEGABYTES = int(os.environ.get("MEGABYTES", "300"))
LATENCY = 0.05

Work = Callable[[Site], float]
"""Gives the seconds that it took; what it prepares does not count."""


@dataclass(frozen=True)
class Row:
    """What is measured against what, and how often it may take as long."""

    title: str
    ours: Work
    baseline: str
    other: Work
    limit: float


def main(what: str = "table", commit: str = "") -> None:
    if what == "earlier":
        earlier(commit)
        return
    with tempfile.TemporaryDirectory() as folder, Site.at(Path(folder), *HOSTS) as site:
        site.serve(alpha=1)
        deploy(site, HOSTS)
        {"table": table, "latency": latency, "push": push}[what](site)


def table(site: Site) -> None:
    lines = ["| what | tritonops | against | takes | ratio | at most |", "|---|---|---|---|---|---|"]
    for row in rows():
        ours, other = measure(site, row)
        ratio = ours / other
        verdict = "met" if ratio <= row.limit else "MISSED"
        times = f"{ours:.2f} s | {row.baseline} | {other:.2f} s"
        lines.append(f"| {row.title} | {times} | {ratio:.2f} | {row.limit}: {verdict} |")
        print(lines[-1], flush=True)
    rounds = f"median of {ROUNDS} rounds, in turn; client, sshd and Tritons share the cores"
    write_section("remote", "\n".join([f"Measured on: {machine()}; {rounds}.", "", *lines, ""]))


def rows() -> list[Row]:
    one, all_ = HOSTS[:1], HOSTS
    count = len(HOSTS)
    return [
        Row(
            "nothing to do, 1 host", lambda site: deploy(site, one), "`ssh host true`", lambda site: ssh(site, one), 2.5
        ),
        Row(
            f"nothing to do, {count} hosts",
            lambda site: deploy(site, all_),
            f"`xargs -P{count} ssh host true`",
            lambda site: ssh(site, all_),
            1.2,
        ),
        Row(
            f"one small model changed, {count} hosts",
            lambda site: change(site, all_),
            "the same on 1 host",
            lambda site: change(site, one),
            7,
        ),
        Row(f"{MEGABYTES} MB sent to 1 host", send, "`rsync` alone", send_alone, 1.3),
    ]


def measure(site: Site, row: Row) -> tuple[float, float]:
    """Time both in turn, after one round that is not counted."""
    rounds = [(row.ours(site), row.other(site)) for _ in range(ROUNDS + 1)][1:]
    ours, other = zip(*rounds, strict=True)
    return statistics.median(ours), statistics.median(other)


def deploy(site: Site, names: list[str]) -> float:
    started = time.perf_counter()
    site.clone.inv("remote.deploy", "--host", ",".join(names))
    return time.perf_counter() - started


def change(site: Site, names: list[str]) -> float:
    site.serve(alpha=time.time() % 1000)
    return deploy(site, names)


def ssh(site: Site, names: list[str]) -> float:
    command = ["xargs", f"-P{len(names)}", "-I{}", "ssh", "-F", str(site.fleet.config), "{}", "true"]
    started = time.perf_counter()
    subprocess.run(command, input="\n".join(names), text=True, check=True)
    return time.perf_counter() - started


def send(site: Site) -> float:
    source = _large_file(site)
    started = time.perf_counter()
    with Host(HOSTS[0], ssh_config=site.fleet.config) as host:
        host.rsync(str(source), f"{site.servers[HOSTS[0]].home}/large", "--ignore-times", "--whole-file")
    return time.perf_counter() - started


def send_alone(site: Site) -> float:
    source, shell = _large_file(site), f"ssh -F {site.fleet.config}"
    target = f"{HOSTS[0]}:{site.servers[HOSTS[0]].home}/large"
    started = time.perf_counter()
    subprocess.run(["rsync", "--rsh", shell, "--ignore-times", "--whole-file", str(source), target], check=True)
    return time.perf_counter() - started


def _large_file(site: Site) -> Path:
    path = site.fleet.folder / "large"
    if not path.exists():
        path.write_bytes(os.urandom(MEGABYTES * 1_000_000))
    return path


def earlier(commit: str) -> None:
    """Time both commits in turn, each on a host of its own, and with its own requirements."""
    with tempfile.TemporaryDirectory() as folder:
        code = checkout(commit, Path(folder, "earlier"))
        sides = {"this": PROJECT, commit: code}
        rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        with ExitStack() as stack:
            running = {name: stack.enter_context(_side(path)) for name, path in sides.items()}
            for counted in [False] + [True] * ROUNDS:
                for name, side in running.items():
                    found = _one_round(side)
                    if counted:
                        rounds[name].append(found)
    for number, title in enumerate(("nothing to do, 1 host", "a command on an open connection")):
        ours, other = (statistics.median(times[number] for times in rounds[name]) for name in sides)
        print(f"{title}: {ours * 1000:.1f} ms, {commit} {other * 1000:.1f} ms: {ours / other:.2f} x", flush=True)


@contextmanager
def _side(code: Path) -> Iterator[subprocess.Popen[str]]:
    subprocess.run([code / "inv", "--version"], check=True, stdout=subprocess.DEVNULL)
    program = Path(__file__).with_name("_remote_rounds.py")
    command = [str(code / ".venv/bin/python"), "-P", str(program), str(code)]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as side:
        assert side.stdin
        assert side.stdout
        if side.stdout.readline() != "ready\n":
            raise SystemExit(f"the deploy with the code of {code} failed")
        yield side
        side.stdin.close()


def _one_round(side: subprocess.Popen[str]) -> tuple[float, float]:
    assert side.stdin
    assert side.stdout
    side.stdin.write("go\n")
    side.stdin.flush()
    deploy, command = map(float, side.stdout.readline().split())
    return deploy, command


def latency(site: Site) -> None:
    with slow_wires(site):
        for title, work in (("nothing to do", deploy), ("one small model changed", change)):
            one, all_ = work(site, HOSTS[:1]), work(site, HOSTS)
            print(f"{len(HOSTS)} hosts, {title}, {LATENCY * 1000:g} ms: {all_:.1f} s, one {one:.1f} s", flush=True)


def push(site: Site) -> None:
    site.clone.hosts(*HOSTS[:1])
    for number in range(10):
        site.clone.model(f"big_{number}", padding=MEGABYTES * 100_000)
    site.clone.ignore("/models/")  # so that only the push has them
    lock_and_commit(site)
    with Wire(site.servers[HOSTS[0]].port) as wire, site.through({HOSTS[0]: wire.port}):
        for title in ("everything", "one small file changed"):
            wire.bytes, started = 0, time.perf_counter()
            site.clone.inv("remote.deploy", "--host", HOSTS[0], "--push")
            seconds = time.perf_counter() - started
            sent = f"{wire.bytes / 1e6:.2f} MB over the wire, {seconds:.1f} s"
            print(f"A push of {MEGABYTES} MB, {title}: {sent}", flush=True)
            site.clone.model("alpha", scale=4321)
            lock_and_commit(site)


def lock_and_commit(site: Site) -> None:
    site.clone.inv("models.download", "--overwrite")
    site.clone.commit("locked")


@contextmanager
def slow_wires(site: Site) -> Iterator[None]:
    with ExitStack() as stack:
        wires = {name: stack.enter_context(Wire(site.servers[name].port, latency=LATENCY)) for name in HOSTS}
        with site.through({name: wire.port for name, wire in wires.items()}):
            yield


if __name__ == "__main__":
    main(*sys.argv[1:])
