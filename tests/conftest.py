"""What tests share: real Tritons on free ports, and a Hub."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from invoke import Config, FilesystemLoader

from tasks.shared import checkout
from tasks.shared.program import TaskProgram
from tests import programs, runs
from tests.hub.server import Hub
from tests.kubernetes.cluster import machine
from tests.kubernetes.images import remove_init_image
from tests.paths import PROJECT
from tests.screens import Screen
from tritonops.environment import KNOWN
from tritonops.errors import EmbeddedUnavailableError, PortTakenError, ServerStartError
from tritonops.server import embedded
from tritonops.server.embedded import EmbeddedServer
from tritonops.server.installation import fetch_libpython, find_installation
from tritonops.server.ports import free_ports

StartTriton = Callable[..., EmbeddedServer]


def pytest_configure(config):
    """Fetch what this machine lacks, once for all workers, which inherit the PATH."""
    # A script that runs the tests in the background lets them, and all that they start, ignore Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    runs.begin()
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        programs.fetch_missing(lambda line: print(line, file=sys.stderr, flush=True))


def pytest_unconfigure(config):
    """End what the workers shared."""
    if runs.is_own():
        machine.stop()
        remove_init_image()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    """Count in the last lines what was not tested, and why; and the tests with Docker by themselves."""
    yield
    reasons = Counter(str(report.longrepr[2]) for report in terminalreporter.getreports("skipped"))
    if reasons:
        counted = [f"{count}: {reason.removeprefix('Skipped: ')}" for reason, count in reasons.most_common()]
        terminalreporter.write_line(f"tests skipped: {'; '.join(counted)}")
    counts = {
        outcome: sum(
            "docker" in dict(getattr(report, "user_properties", ())) for report in terminalreporter.getreports(outcome)
        )
        for outcome in ("passed", "failed", "error", "skipped")
    }
    if any(counts.values()):
        output = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
        terminalreporter.write_line(f"tests with Docker: {output}")


@pytest.fixture(autouse=True)
def _settings_of_the_machine_stay_out(monkeypatch):
    """Neither a variable of the developer's own nor the .env of this clone may change what a test sees."""
    for name in (*KNOWN, *_ROUTES, *map(str.lower, _ROUTES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", "/nonexistent")
    monkeypatch.setattr(checkout, "READS_ENV_FILE", False)


_ROUTES = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)

_MACHINE = {name: os.environ[name] for route in _ROUTES for name in (route, route.lower()) if name in os.environ}


@pytest.fixture
def package_index(monkeypatch):
    """For tests that install packages: the proxies and certificates by which this machine reaches the index."""
    for name, value in _MACHINE.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def embedded_runtime() -> None:
    """Skip what needs the embedded Triton where there is none, as on macOS; in CI that is a failure."""
    try:
        fetch_libpython(print)
        find_installation()
    except EmbeddedUnavailableError as exc:
        programs.unavailable(str(exc))


@pytest.fixture
def start_triton(embedded_runtime) -> Iterator[StartTriton]:
    """Start a Triton over a models directory: `start_triton(models_dir, token=None)`. It ends with the test."""
    with ExitStack() as stack:
        yield lambda models_dir, **options: _start(stack, models_dir, **options)


@pytest.fixture(scope="module")
def start_module_triton(embedded_runtime) -> Iterator[StartTriton]:
    """The same, for a Triton that the tests of a module share."""
    with ExitStack() as stack:
        yield lambda models_dir, **options: _start(stack, models_dir, **options)


@pytest.fixture(scope="session")
def triton(embedded_runtime, tmp_path_factory) -> Iterator[EmbeddedServer]:
    """A Triton that all tests of this worker share: write a model of your own into `models_dir`, and load it.

    Name models after your test: others leave theirs.
    """
    models_dir = tmp_path_factory.mktemp("shared") / "triton"
    models_dir.mkdir()
    with ExitStack() as stack:
        yield _start(stack, models_dir)


@pytest.fixture(scope="session")
def session_hub(tmp_path_factory) -> Iterator[Hub]:
    """A server that speaks the Hub's protocol, for all tests of this worker."""
    with Hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
def hub(session_hub) -> Iterator[Hub]:
    """The Hub, without what the test before asked of it: `hub.push("team/model", {"model.onnx": b"…"})`."""
    session_hub.forget()
    yield session_hub
    session_hub.forget()


def _start(stack: ExitStack, models_dir: Path, *, timeout: float = 60, **options: Any) -> EmbeddedServer:
    """Another process may take a free port before Triton does: then try others. Killed at the end, to save time."""
    for attempts_left in (2, 1, 0):
        try:
            server_dir = models_dir.with_name(".server")
            server = embedded.start(models_dir, server_dir, ports=free_ports(), timeout=timeout, **options)
        except (PortTakenError, ServerStartError) as exc:
            if not attempts_left or "already in use" not in f"{exc}{_log(models_dir)}":
                raise
        else:
            stack.callback(embedded.kill, server)
            return server
    raise AssertionError


def _log(models_dir: Path) -> str:
    path = embedded.log_path(models_dir.with_name(".server"))
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


@pytest.fixture
def inv(capfd):
    """Run a command line of the project, and give its exit code, stdout and stderr."""
    module, _ = FilesystemLoader(start=str(PROJECT), config=Config()).load("tasks")

    def run(*arguments):
        try:
            TaskProgram(namespace=module.ns, binary="inv").run(["inv", *arguments])
        except SystemExit as ended:
            return ended.code, *capfd.readouterr()
        return 0, *capfd.readouterr()

    return run


@pytest.fixture
def screen(tmp_path):
    """Open a terminal: `screen(columns, **environment)`."""
    if not programs.find("tmux"):
        programs.unavailable("no tmux, install tmux")
    opened = []

    def open_screen(columns, **environment):
        opened.append(Screen(tmp_path, columns, environment))
        return opened[-1]

    yield open_screen
    for each in opened:
        each.close()
