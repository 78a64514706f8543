"""Deploys over SSH, against real sshd and real Tritons on this machine: how long, how many bytes.

    nothing to do       against `ssh host true`
    sixteen hosts       against one, with nothing to do and with one model changed; then with 50 ms added to each way
    a push              of a repository of 300 MB in which one small file changed

HOSTS, ROUNDS and MEGABYTES say how many; all sshd, Tritons and this client share the processors of one machine.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from _timing import Contender, medians, print_ratios

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.remote.project import Site
from tests.remote.wire import Wire

HOSTS = [f"gpu-{number:02}" for number in range(1, int(os.environ.get("HOSTS", "16")) + 1)]
ROUNDS = int(os.environ.get("ROUNDS", "5"))
MEGABYTES = int(os.environ.get("MEGABYTES", "300"))
LATENCY = 0.05


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Site.at(Path(folder), *HOSTS) as site:
        site.serve(alpha=1)
        site.clone.inv("remote.deploy", *hosts(HOSTS))
        nothing_to_do(site)
        fleet(site, "no latency")
        with slow_wires(site):
            fleet(site, f"{LATENCY * 1000:g} ms added to each way")
        push(site)


def nothing_to_do(site: Site) -> None:
    ssh = ["ssh", "-F", str(site.fleet.config), HOSTS[0], "true"]
    deploy = [str(site.clone.folder / "inv"), "remote.deploy", "--host", HOSTS[0]]
    contenders = [Contender("ssh host true", ssh), Contender("inv remote.deploy", deploy, site.clone.environment)]
    figures = medians(contenders, rounds=ROUNDS)
    print_ratios("A deploy with nothing to do", figures, baseline="ssh host true")


def fleet(site: Site, title: str) -> None:
    one, all_ = deploy(site, HOSTS[:1]), deploy(site, HOSTS)
    show(f"{len(HOSTS)} hosts, nothing to do, {title}", one, all_)
    site.serve(alpha=time.time() % 1000)
    one = deploy(site, HOSTS[:1])
    site.serve(alpha=time.time() % 1000)
    show(f"{len(HOSTS)} hosts, one model changed, {title}", one, deploy(site, HOSTS))


def deploy(site: Site, names: list[str]) -> tuple[float, float]:
    """Wall time, and the CPU time of the client with its ssh and rsync."""
    started, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    site.clone.inv("remote.deploy", *hosts(names))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime
    return time.perf_counter() - started, seconds


def show(title: str, one: tuple[float, float], all_: tuple[float, float]) -> None:
    print(title)
    print(f"  one   {one[0]:6.1f} s wall, {one[1]:5.1f} s of CPU here")
    print(f"  all   {all_[0]:6.1f} s wall, {all_[1]:5.1f} s of CPU here  {all_[0] / one[0]:5.2f} ×", flush=True)


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


def hosts(names: list[str]) -> list[str]:
    return [word for name in names for word in ("--host", name)]


if __name__ == "__main__":
    main()
