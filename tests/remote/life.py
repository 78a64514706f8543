"""The life of two hosts, at random: people deploy, edit, roll back, cut lines, kill processes and change what is on the
hosts, while clients ask all the time. After each step the answer is the recorded one, or the command reported why not.
"""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tests.onnx_models import affine, config_pbtxt
from tests.remote.project import Clone, Site
from tests.remote.sshd import wait_until
from tritonops.errors import PackagesUnavailableError, TritonOpsError
from tritonops.server import debian_packages, embedded
from tritonops.triton.client.client import TritonClient, connect

HOSTS = ("gpu-01", "gpu-02")
SETTLE = 60.0
_ANNOUNCED = ("start Triton", "restart Triton")
_BAD_LINES = ("TRITON_EXPOSE_GRPC=banana", "TRITON_TOKEN='open", "TRITON_TOKEN=a b", "TRITON_BIND=x")
_X = {"x": np.ones((1, 3), np.float32)}


@dataclass(frozen=True)
class Asked:
    """One request of a client: when it began and ended, and the answer or what failed."""

    host: str
    begun: float
    ended: float
    answer: float | None
    failure: str | None


class Asker:
    """A client that asks alpha what it makes of 1 all the time, over a kept channel or a new one for each request."""

    def __init__(self, host: str, address: str, *, keeps: bool) -> None:
        self.host, self.address, self.keeps = host, address, keeps
        self.asked: list[Asked] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def has_answer_since(self, when: float) -> bool:
        """Whether a request was answered that ended later."""
        return any(row.answer is not None for row in reversed(self.asked) if row.ended > when)

    def _run(self) -> None:
        while not self._over.is_set():
            with connect(self.address) as client:
                self._ask(client)
                while self.keeps and not self._over.is_set():
                    self._ask(client)

    def _ask(self, client: TritonClient) -> None:
        begun, answer, failure = time.monotonic(), None, None
        try:
            answer = float(client.infer("alpha", _X, timeout=30)["y"][0, 0])
        except TritonOpsError as exc:
            failure = str(exc)
        self.asked.append(Asked(self.host, begun, time.monotonic(), answer, failure))
        self._over.wait(0.05)  # the machine has other work to do


@dataclass
class Person:
    """Somebody with a clone of their own, whose alpha multiplies by `scale`."""

    name: str
    clone: Clone
    scale: float = 1.0

    def write(self, scale: float, *, times: tuple[int, int] | None = None) -> None:
        """Edit alpha: a file of the same name and size, with given times if it must be."""
        self.scale = scale
        path = self.clone.folder / "models/alpha.onnx"
        onnx.save_model(affine(scale), path)
        if times:
            os.utime(path, ns=times)

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        return {**self.clone.environment, "LOGNAME": self.name, "USER": self.name, **extra}

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[str]:
        """Start a task as this person."""
        return subprocess.Popen(
            [str(self.clone.folder / "inv"), *arguments],
            cwd=self.clone.folder,
            env=self.environment(extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@dataclass
class Step:
    """What happened in one step, and what is wrong with it."""

    number: int
    kind: str
    before: dict[str, set[float]]
    """What alpha may have been on each host when the step began."""
    results: list[str] = field(default_factory=list)
    requests: int = 0
    failed: int = 0
    restarts: int = 0
    complaints: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        message = "; ".join([*self.results, *(f"COMPLAINT: {complaint}" for complaint in self.complaints)])
        return (
            f"{self.number:3} {self.kind:<22} {self.requests:4} asked, {self.failed:3} failed, "
            f"{self.restarts} restarts: {message}"
        )


class Life:
    """Two hosts, two people, and what is known of every release: the number that alpha multiplies by."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site, self.chance = site, random.Random(seed)
        self.people = [Person("ada", site.clone)]
        self.scales: dict[tuple[str, str], float] = {}
        """By host and release: each host numbers its own."""
        self._next = iter(range(2, 100_000))
        self._faketime = _faketime()
        self._token = ""
        self._logs: set[Path] = set()
        self._pids: dict[str, set[int]] = {name: set() for name in HOSTS}
        self._begin()

    def _begin(self) -> None:
        clone, ada = self.site.clone, self.people[0]
        ada.write(1.0)
        clone.models["alpha"] = '[[models.alpha]]\npath = "models/alpha.onnx"\ntriton_version = 1\n'
        clone.write_catalog()
        config = clone.folder / "triton-config/alpha/cpu.pbtxt"
        config.parent.mkdir(parents=True)
        config.write_text(config_pbtxt(affine(1.0)))
        clone.commit("alpha")
        self.people.append(Person("ben", clone.copy(clone.folder.with_name("second"))))
        with ada.start("remote.deploy", "--host", ",".join(HOSTS)) as process:
            _, message = process.communicate()
        assert process.returncode == 0, message
        for name in HOSTS:
            self._note_releases(name)
            self._new_runs(name)

    # --- what people do -------------------------------------------------------------------------

    def deploy(self, step: Step) -> None:
        """Deploy what the clone has, whatever that is."""
        self._deploy(step, self._someone())

    def edit(self, step: Step) -> None:
        """Change alpha without a commit, and deploy."""
        person = self._someone()
        person.write(self._new())
        self._deploy(step, person)

    def commit(self, step: Step) -> None:
        """Change alpha and commit, and deploy."""
        person = self._someone()
        person.write(self._new())
        person.clone.commit(f"alpha {person.scale:g}")
        self._deploy(step, person)

    def touch(self, step: Step) -> None:
        """Give files new times and no new bytes, and deploy twice: the second time there is nothing to do."""
        person = self._someone()
        self._deploy(step, person, hosts=HOSTS)
        for path in ("models/alpha.onnx", "models.toml", "inv"):
            (person.clone.folder / path).touch()
        rows = self._deploy(step, person, hosts=HOSTS)
        if any(row["result"] == "deployed" for row in rows):
            step.complaints.append("files with new times and the same bytes were deployed again")

    def equal_times(self, step: Step) -> None:
        """Change alpha's bytes, and neither its size nor its times, and deploy."""
        person = self._someone()
        found = (person.clone.folder / "models/alpha.onnx").stat()
        person.write(self._new(), times=(found.st_atime_ns, found.st_mtime_ns))
        self._deploy(step, person)

    def rollback(self, step: Step) -> None:
        """Go back to the release before."""
        self._act(step, self._someone(), "remote.rollback", hosts=self._hosts())

    def good_env(self, step: Step) -> None:
        """Change what the server is started with, and deploy: this restarts Triton."""
        tokens = {"", "hush", "it's$5\\"} - {self._token}
        token = self._token = self.chance.choice(sorted(tokens))
        self._set_env(step, f"TRITON_TOKEN={json.dumps(token).replace('$', '$$') if token else ''}\n")
        self._deploy(step, self._someone(), hosts=HOSTS)

    def bad_env(self, step: Step) -> None:
        """Try to set what no setting allows; then edit an env file by hand into that, deploy, and correct it."""
        if self._set_env(step, "TRITON_EXPOSE_HTTP=99999\n") != 2:
            step.complaints.append("a port number of 99999 was not refused")
        name = self.chance.choice(HOSTS)
        path = self.site.servers[name].root / "env"
        before = path.read_text()
        line = self.chance.choice(_BAD_LINES)
        path.write_text(f"{before}{line}\n")
        rows = self._deploy(step, self._someone(), hosts=(name,))
        if any(row["result"] in ("deployed", "nothing to do") for row in rows):
            step.complaints.append(f"{line} was not refused")
        path.write_text(before)

    def taken_port(self, step: Step) -> None:
        """Ask for a port that somebody else has, deploy, and correct it: what serves is not stopped for it."""
        name = self.chance.choice(HOSTS)
        path = self.site.servers[name].root / "env"
        before = path.read_text()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            lines = [line for line in before.splitlines() if not line.startswith("TRITON_EXPOSE_METRICS")]
            path.write_text("\n".join([*lines, f"TRITON_EXPOSE_METRICS={taken.getsockname()[1]}", ""]))
            self._deploy(step, self._someone(), hosts=(name,))
        path.write_text(before)

    def kill_activation(self, step: Step) -> None:
        """Kill -9 what works on the host, at any moment."""
        name = self.chance.choice(HOSTS)
        lock = self.site.servers[name].root / "lock"

        def kill() -> None:
            with suppress(OSError, ValueError, TypeError, KeyError):
                os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)

        self._disturbed(step, (name,), kill, when=lambda: lock.exists() and lock.read_text().strip())

    def kill_client(self, step: Step) -> None:
        """Kill -9 the deploy here, at any moment."""
        self._disturbed(step, self._hosts(), None)

    def cut(self, step: Step) -> None:
        """Cut every connection to a host, at any moment; it can be reached again at once."""
        name = self.chance.choice(HOSTS)
        self._disturbed(step, (name,), self.site.servers[name].cut)

    def clock_shift(self, step: Step) -> None:
        """Deploy twice, by people whose clocks differ, and go back: to the one that served before."""
        if self._faketime is None:
            step.results.append("no libfaketime here")
            return
        hosts = (self.chance.choice(HOSTS),)
        shift = self.chance.choice(["-100s", "+100s", "-2d", "+2d"])
        clock = {"LD_PRELOAD": str(self._faketime), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        first, second = self.people
        first.write(self._new())
        self._deploy(step, first, hosts=hosts)
        middle = first.scale
        second.write(self._new())
        self._deploy(step, second, hosts=hosts, **clock)
        self._act(step, second, "remote.rollback", hosts=hosts, **clock)
        if self._answer(hosts[0]) != middle:
            step.complaints.append(f"a rollback with a clock {shift} went to {self._answer(hosts[0])}, not {middle}")

    def two_people(self, step: Step) -> None:
        """Two people deploy to the same host at once: one of them may be told who is first."""
        hosts = (self.chance.choice(HOSTS),)
        for person in self.people:
            person.write(self._new())
        words = ("remote.deploy", "--host", hosts[0], "--json")
        for process in [person.start(*words) for person in self.people]:
            self._ended(step, process, hosts)

    def hand_change(self, step: Step) -> None:
        """Change the files that Triton is shown, by hand, and deploy: the change goes."""
        person, hosts = self._someone(), (self.chance.choice(HOSTS),)
        self._deploy(step, person, hosts=hosts)
        model = self.site.servers[hosts[0]].root / "shared/triton/alpha"
        path = self.chance.choice([model / "1/model.onnx", model / "config.pbtxt"])
        kept = path.stat()
        changed = path.with_name("by-hand")
        if path.suffix == ".onnx":
            onnx.save_model(affine(self._new()), changed)
        else:
            changed.write_text(path.read_text() + "# by hand\n")
        os.utime(changed, ns=(kept.st_atime_ns, kept.st_mtime_ns))
        changed.replace(path)
        rows = self._deploy(step, person, hosts=hosts)
        if any(row["result"] == "nothing to do" for row in rows):
            step.complaints.append(f"{path.name} was changed by hand, and a deploy had nothing to do")

    def model_by_hand(self, step: Step) -> None:
        """Put a model of one's own there, deploy, and perhaps prune it."""
        name = self.chance.choice(HOSTS)
        root = self.site.servers[name].root / "shared"
        if not (root / "triton/mine").exists() and not (root / "triton-disabled/mine").exists():
            (root / "triton/mine/1").mkdir(parents=True)
            onnx.save_model(affine(5), root / "triton/mine/1/model.onnx")
            (root / "triton/mine/config.pbtxt").write_text(config_pbtxt(affine(5)))
        self._deploy(step, self._someone(), hosts=(name,), options=self.chance.choice([(), ("--prune",)]))

    # --- one step -------------------------------------------------------------------------------

    def run_steps(self, count: int, *, on_step: Callable[[Step], None] = lambda step: None) -> list[Step]:
        """Live so many steps; each kind comes once before any comes again at random."""
        kinds = [getattr(self, kind) for kind in KINDS]
        self.chance.shuffle(kinds)
        steps = []
        with self._asking() as askers:
            for number in range(count):
                work = kinds[number] if number < len(kinds) else self.chance.choice(kinds)
                steps.append(self._step(number, work, askers))
                on_step(steps[-1])
        return steps

    def _step(self, number: int, work: Callable[[Step], None], askers: Sequence[Asker]) -> Step:
        begun = time.monotonic()
        step = Step(number, work.__name__, {name: self._recorded(name) for name in HOSTS})
        self._pids = {name: {self._pid(name)} for name in HOSTS}
        work(step)
        for name in HOSTS:
            self._settle(name)
            self._note_releases(name)
            self._check(step, name)
            self._count(step, name, [row for asker in askers for row in [*asker.asked] if row.ended >= begun])
        if step.restarts:  # without one, a client that has no answer is a failure of the next step
            self._let_reconnect(askers)
        return step

    def _let_reconnect(self, askers: Sequence[Asker]) -> None:
        """Wait until clients that keep a channel have an answer again: gRPC tries to connect once a second."""
        ended = time.monotonic()
        for asker in askers:
            if self._answer(asker.host) is not None:
                wait_until(functools.partial(asker.has_answer_since, ended), f"an answer of {asker.host}", timeout=10)

    def _check(self, step: Step, name: str) -> None:
        """The answer is that of the release that is recorded as the current one."""
        answer, recorded = self._answer(name), self._recorded(name)
        if answer not in recorded:
            step.complaints.append(f"{name} answers {answer}, and what is recorded is {sorted(recorded)}")

    def _recorded(self, name: str) -> set[float]:
        """What alpha is in the current release; while a switch stands interrupted, also in the one that it went to."""
        root = self.site.servers[name].root
        releases = {(root / "current").readlink().name}
        with suppress(FileNotFoundError):
            releases.add(json.loads((root / "shared/switching.json").read_text())["to"])
        return {self.scales[name, release] for release in releases}

    def _count(self, step: Step, name: str, asked: Sequence[Asked]) -> None:
        runs, mine = self._new_runs(name), [row for row in asked if row.host == name]
        failed = [row for row in mine if row.failure]
        restarts = len(self._pids[name]) - 1
        step.requests, step.failed = step.requests + len(mine), step.failed + len(failed)
        step.restarts += restarts
        if restarts > 1:
            step.complaints.append(f"{name} was restarted {restarts} times")
        if failed and not any(line.startswith(_ANNOUNCED) for lines in runs.values() for line in lines):
            step.complaints.append(f"{name}: {len(failed)} failed, no restart announced: {failed[0].failure}")
        possible = {*step.before[name], *(self.scales[name, release] for release in runs)}
        if wrong := {row.answer for row in mine if row.answer is not None} - possible:
            step.complaints.append(f"{name} answered {sorted(wrong)}; it was and became {sorted(possible)}")

    # --- the hosts ------------------------------------------------------------------------------

    def _note_releases(self, name: str) -> None:
        """Write down what alpha is in each release that is new, by whose it is."""
        for path in (self.site.servers[name].root / "releases").glob("*/release.json"):
            if (name, path.parent.name) not in self.scales:
                by = json.loads(path.read_text())["by"].partition("@")[0]
                scale = next(person.scale for person in self.people if person.name == by)
                self.scales[name, path.parent.name] = scale

    def _settle(self, name: str) -> None:
        """Wait until nobody is at work on the host."""
        home = self.site.servers[name].home
        wait_until(lambda: not _is_at_work(home), f"{name} to settle", timeout=SETTLE)

    def _answer(self, name: str) -> float | None:
        """Ask alpha once; None where nothing answers."""
        with connect(self._address(name)) as client, suppress(TritonOpsError):
            return float(client.infer("alpha", _X, timeout=30)["y"][0, 0])
        return None

    def _address(self, name: str) -> str:
        return f"127.0.0.1:{self.site.servers[name].grpc}"

    def _pid(self, name: str) -> int:
        found = embedded.find(self.site.servers[name].root / "shared/.server")
        return found.process.pid if found else 0

    def _watch_pids(self, over: threading.Event) -> None:
        while not over.wait(0.05):
            for name in HOSTS:
                if pid := self._pid(name):
                    self._pids[name].add(pid)

    def _new_runs(self, name: str) -> dict[str, list[str]]:
        """What was written by activations since the last step, by release."""
        runs: dict[str, list[str]] = {}
        for log in (self.site.servers[name].root / "releases").glob("*/runs/*.log"):
            if log not in self._logs:
                self._logs.add(log)
                runs.setdefault(log.parents[1].name, []).extend(log.read_text().splitlines())
        return runs

    # --- the people -----------------------------------------------------------------------------

    def _someone(self) -> Person:
        return self.chance.choice(self.people)

    def _hosts(self) -> tuple[str, ...]:
        return self.chance.choice([HOSTS, HOSTS[:1], HOSTS[1:]])

    def _new(self) -> float:
        return float(next(self._next))

    def _deploy(
        self,
        step: Step,
        person: Person,
        *,
        hosts: Sequence[str] | None = None,
        options: Sequence[str] = (),
        **extra: str,
    ) -> list[dict[str, Any]]:
        hosts = hosts or self._hosts()
        rows = self._act(step, person, "remote.deploy", hosts=hosts, options=options, **extra)
        for row in rows:
            if row["result"] in ("deployed", "nothing to do") and self._answer(row["host"]) != person.scale:
                answer = self._answer(row["host"])
                step.complaints.append(f"{row['host']}: {row['result']}, and answers {answer}, not {person.scale}")
        return rows

    def _act(
        self, step: Step, person: Person, task: str, *, hosts: Sequence[str], options: Sequence[str] = (), **extra: str
    ) -> list[dict[str, Any]]:
        process = person.start(task, "--host", ",".join(hosts), "--json", *options, **extra)
        rows = self._ended(step, process, hosts)
        for name in hosts:
            self._note_releases(name)
        return rows

    def _ended(self, step: Step, process: subprocess.Popen[str], hosts: Sequence[str]) -> list[dict[str, Any]]:
        """Compare the output of a command with its exit code."""
        out, message = process.communicate()
        if "Traceback" in message:
            step.complaints.append(f"a traceback: {message[-500:]}")
        rows: list[dict[str, Any]] = json.loads(out) if out.strip() else []
        step.results += [f"{row['host']} {row['result']}" for row in rows] or [f"exit {process.returncode}"]
        failed = [row for row in rows if row["error"]] or not rows
        if bool(failed) != bool(process.returncode):
            step.complaints.append(f"exit {process.returncode} for {rows}")
        for row in rows:
            if row["error"]:
                step.results.append(f"({row['error'].splitlines()[0][:150]})")
        return rows

    def _set_env(self, step: Step, text: str) -> int:
        words = ("remote.env", "--host", ",".join(HOSTS))
        done = self.site.clone.inv(*words, stdin=text, check=False)
        step.results.append(f"remote.env exit {done.returncode}")
        if "Traceback" in done.stderr:
            step.complaints.append(done.stderr[-500:])
        return done.returncode

    def _disturbed(
        self,
        step: Step,
        hosts: Sequence[str],
        disturb: Callable[[], object] | None,
        *,
        when: Callable[[], object] = lambda: True,
    ) -> None:
        """Begin a deploy of something new, and disturb it at any moment; None kills the client."""
        person = self._someone()
        person.write(self._new())
        process = person.start("remote.deploy", "--host", ",".join(hosts), "--json")
        limit = time.monotonic() + 20
        while process.poll() is None and not when() and time.monotonic() < limit:
            time.sleep(0.01)
        time.sleep(self.chance.random() * 1.5)  # any moment is meant
        process.kill() if disturb is None else disturb()
        if disturb is None:
            process.communicate()
            step.results.append("killed")
        else:
            self._ended(step, process, hosts)

    @contextmanager
    def _asking(self) -> Iterator[list[Asker]]:
        askers = [Asker(name, self._address(name), keeps=keeps) for name in HOSTS for keeps in (True, False)]
        over = threading.Event()
        watcher = threading.Thread(target=self._watch_pids, args=(over,), daemon=True)
        watcher.start()
        try:
            yield askers
        finally:
            over.set()
            watcher.join()
            for asker in askers:
                asker.stop()


KINDS = (
    *("deploy", "edit", "commit", "touch", "equal_times", "rollback", "good_env", "bad_env", "taken_port"),
    *("kill_activation", "kill_client", "cut", "clock_shift", "two_people", "hand_change", "model_by_hand"),
)


def summary(steps: Sequence[Step]) -> str:
    """Count what a life amounted to."""
    kinds, rows = Counter(step.kind for step in steps), tuple(f"{name} " for name in HOSTS)
    results = Counter(word.split(" ", 1)[1] for step in steps for word in step.results if word.startswith(rows))
    complaints = [f"step {step.number}, {step.kind}: {text}" for step in steps for text in step.complaints]
    return "\n".join(
        [
            f"{len(steps)} steps, {sum(step.requests for step in steps)} requests, "
            f"{sum(step.failed for step in steps)} failed in {sum(step.restarts for step in steps)} restarts",
            f"kinds: {dict(kinds)}",
            f"results: {dict(results.most_common(8))}",
            f"{len(complaints)} complaints",
            *complaints,
        ]
    )


def _is_at_work(home: Path) -> bool:
    """Whether a shell, or what it started for good, is at work for a person on the host with this home."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"HOME={home}\0".encode() in (folder / "environ").read_bytes():
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if words[:1] == [b"sh"] or b"remote.activate" in words:
                    return True
    return False


def _faketime() -> Path | None:
    """The library that gives a process another clock, from the distribution's package."""
    try:
        folder = debian_packages.fetch(["libfaketime"])
    except PackagesUnavailableError:
        return None
    return next(folder.glob("usr/lib/*/faketime/libfaketime.so.1"), None)
