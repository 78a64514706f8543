"""What kill -9 and Ctrl-C leave of a download, and what the next run makes of it."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.hub.faults import Fault
from tests.hub.server import Link
from tests.models.catalogs import files_below, one_file, write
from tritonops.models.download import download
from tritonops.project import Project

CONTENT = random.Random(7).randbytes(48 << 20)
RUN = """
import os
from pathlib import Path
from tritonops.models.download import download
from tritonops.project import Project
print(download(Project.load(Path(os.environ["PROJECT"])), max_connections=8).bytes)
"""


@pytest.fixture
def large(hub, project):
    hub.push("team/large", {"model.onnx": CONTENT})
    return write(project, one_file("large", "team/large"))


@pytest.fixture
def start(hub, project):
    """Start a download in a process of its own; it is gone after the test."""
    started = []

    def run():
        env = {"PATH": os.environ["PATH"], "PROJECT": str(project.project), "HF_ENDPOINT": hub.endpoint}
        command = [sys.executable, "-c", RUN]
        started.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        return started[-1]

    yield run
    for process in started:
        with process:
            process.kill()


def wait_for(condition, process=None, *, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        assert process is None or process.poll() is None, "the download ended first"
        time.sleep(0.005)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_after_kill_9_only_what_was_in_flight_is_fetched_again(hub, large, start, share):
    hub.link = Link(bytes_per_second=8e6)
    process = start()
    wait_for(lambda: hub.body_bytes > share * len(CONTENT), process)
    process.kill()
    process.wait()
    assert files_below(large.models_dir) == {}
    hub.link = Link()
    assert download(Project(large)).downloaded == ("large/1",)
    assert files_below(large.models_dir) == {"large/1/model.onnx": CONTENT}
    assert hub.body_bytes <= len(CONTENT) * 1.25


def test_two_processes_at_once_fetch_every_byte_once(hub, large, start):
    hub.link = Link(bytes_per_second=6e6)
    first, second = start(), start()
    fetched = [int(process.communicate(timeout=30)[0]) for process in (first, second)]
    assert sorted(fetched) == [0, len(CONTENT)]
    assert files_below(large.models_dir) == {"large/1/model.onnx": CONTENT}
    assert hub.body_bytes <= len(CONTENT) * 1.1


def test_ctrl_c_stops_within_a_second_even_when_nothing_arrives(hub, large, start):
    hub.faults.add(Fault("stall", times=100, after=1 << 18))
    process = start()
    wait_for(lambda: hub.body_bytes > 1 << 20, process)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=1.0)
    hub.faults.clear()
    assert download(Project(large)).downloaded == ("large/1",)
    assert hub.body_bytes <= len(CONTENT) * 1.25
