"""A change that is interrupted, or killed, is finished or undone; of two at once, one waits."""

import os
import shutil
import signal
import threading

import pytest

from tests.compose.projects import ComposeProject, docker, identity, infer, remove_project, write_slow_model
from tests.paths import PROJECT
from tritonops.compose.engine.container import PREVIOUS
from tritonops.triton.client.waiting import Deadline

pytestmark = pytest.mark.docker
MODELS = {"first", "second"}


def test_a_container_that_was_never_started_is_not_trusted(project):
    """Compose leaves one without its secret behind, and its next `up` would start it, again and again."""
    chosen = project.service(TRITON_TOKEN="a-token")
    chosen.docker.output(chosen.compose.create(count=1))
    (left,) = project.containers()
    project.up(TRITON_TOKEN="a-token")
    assert project.container()["Id"] != left["Id"]
    assert project.serving(token="a-token") == MODELS


def _left_behind(project, stage):
    """Leave what a replacement that is killed at this stage leaves."""
    name = project.container()["Name"][1:]
    chosen = project.service(TRITON_MEMORY="3g")
    chosen.docker.output(chosen.compose.create(count=2))
    (new,) = [one["Id"] for one in project.containers() if one["State"]["Status"] == "created"]
    if stage == "created":
        return
    docker("rename", name, name + PREVIOUS)
    if stage == "renamed":
        return
    docker("stop", name + PREVIOUS)
    if stage == "stopped":
        return
    if stage == "undoing":
        docker("rm", new)
        return
    docker("rename", new, name)
    if stage == "started":
        docker("start", new)


@pytest.mark.parametrize(
    ("stage", "task", "memory"),
    [
        ("created", "compose.up", 8),
        ("renamed", "compose.ps", 8),
        ("stopped", "doctor", 8),
        ("undoing", "compose.ps", 8),
        ("ready", "compose.up", 8),
        ("started", "compose.up", 3),
    ],
)
def test_a_replacement_that_was_killed_is_named_and_finished_or_undone(running, stage, task, memory):
    """8 GiB has the old container, 3 GiB the new one."""
    running.up(TRITON_MEMORY="8g")
    name = running.container()["Name"]
    _left_behind(running, stage)
    options = ["--cpu"] if task.startswith("compose") else []
    changed = {"TRITON_MEMORY": "3g"} if memory == 3 else {"TRITON_MEMORY": "8g"}
    done = running.inv(task, *options, **changed)
    output = done.stdout + done.stderr
    assert "interrupted" in output or (stage == "created" and "never started" in output), output
    for _ in Deadline.after(20).polls():
        if running.serving() == MODELS:
            break
    found = running.container()
    assert (found["Name"], found["State"]["Status"]) == (name, "running")
    assert found["HostConfig"]["Memory"] == memory << 30


def test_of_two_at_once_one_waits_and_names_the_other_whatever_each_would_serve(project, tmp_path):
    project.up()
    before = identity(project)
    folders = [project.models_dir, tmp_path / "elsewhere" / "models"]
    shutil.copytree(project.models_dir, folders[1])
    restarts = [
        project.start_inv("compose.restart", "--cpu", TRITON_MODELS_DIR=str(folder), TMPDIR=str(folder.parent))
        for folder in folders
    ]
    outputs = [restart.communicate(timeout=100) for restart in restarts]
    assert [restart.returncode for restart in restarts] == [0, 0], outputs
    waiting = [stderr for _, stderr in outputs if "waiting for process" in stderr]
    assert len(waiting) == 1
    assert any(f"process {restart.pid} " in waiting[0] for restart in restarts)
    assert identity(project)[0] != before[0]
    assert project.serving() == MODELS


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A project with a model that takes two seconds to answer."""
    made = ComposeProject.at(tmp_path_factory.mktemp("busy"), "first")
    write_slow_model(made.models_dir, "slow", infer=2)
    try:
        made.up()
        yield made
    finally:
        remove_project(made.name)


def interrupt(project, number, wait_for, **changed):
    """Restart with a request in flight, and send a signal once the restart has written a line."""
    answers: list[list[float]] = []
    request = threading.Thread(target=lambda: answers.append(infer(project, "slow")))
    request.start()
    with project.start_inv("compose.restart", *([] if "COMPOSE_FILE" in changed else ["--cpu"]), **changed) as restart:
        assert restart.stderr
        lines = []
        for line in restart.stderr:
            lines.append(line)
            if wait_for in line:
                break
        os.kill(restart.pid, number)
        _, errors = restart.communicate(timeout=100)
    request.join()
    return restart.returncode, "".join(lines) + errors, answers


@pytest.mark.parametrize(
    ("number", "stage", "code"),
    [
        (signal.SIGINT, "stopping", 130),
        (signal.SIGTERM, "starting the new", 143),
        (signal.SIGKILL, "stopping", -9),
    ],
)
def test_a_restart_that_is_interrupted_is_finished_or_undone(busy, number, stage, code):
    returncode, output, answers = interrupt(busy, number, stage)
    assert answers == [[3, 3, 3]]
    assert returncode == code, output
    if number == signal.SIGKILL:
        done = busy.inv("compose.up", "--cpu")
        assert done.returncode == 0, done.stderr
        assert "was interrupted" in done.stderr
    else:
        assert "serving now:" in output
    assert busy.container()["State"]["Status"] == "running"
    assert busy.serving() == {"first", "slow"}


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """A project whose container has a name of its own, so that a second one cannot be made, and a slow model."""
    folder = tmp_path_factory.mktemp("fixed")
    made = ComposeProject.at(folder, "first")
    write_slow_model(made.models_dir, "slow", infer=2)
    extra = folder / "fixed.yml"
    extra.write_text(f"services:\n  triton:\n    container_name: {made.name}-mine\n")
    made.variables["COMPOSE_FILE"] = f"{PROJECT / 'ml.yml'}:{extra}"
    try:
        done = made.inv("compose.up")
        assert done.returncode == 0, done.stderr
        yield made
    finally:
        remove_project(made.name)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_restart_in_place_that_is_interrupted_leaves_the_container_serving(fixed, number, code):
    returncode, output, answers = interrupt(fixed, number, "stopping", COMPOSE_FILE=fixed.variables["COMPOSE_FILE"])
    assert (answers, returncode) == ([[3, 3, 3]], code), output
    assert "serving now:" in output
    wait_until_it_serves(fixed)


@pytest.mark.parametrize("task", ["compose.up", "compose.ps", "doctor"])
def test_a_restart_in_place_that_was_killed_is_named_with_what_it_left_and_repaired(fixed, task):
    _, _, answers = interrupt(fixed, signal.SIGKILL, "stopping", COMPOSE_FILE=fixed.variables["COMPOSE_FILE"])
    assert answers == [[3, 3, 3]]
    left = f"{fixed.name}-mine{PREVIOUS}"
    assert fixed.container()["Name"] == f"/{left}"
    done = fixed.inv(task)
    output = done.stdout + done.stderr
    assert f"a restart of {fixed.name}-mine was interrupted: {left} is " in output, output
    wait_until_it_serves(fixed)


@pytest.mark.parametrize("stage", ["renamed", "stopped", "started"])
def test_wherever_a_restart_in_place_was_killed_the_next_up_repairs_it(fixed, stage):
    name = fixed.container()["Name"][1:]
    docker("rename", name, name + PREVIOUS)
    if stage != "renamed":
        docker("stop", name + PREVIOUS)
    if stage == "started":
        docker("start", name + PREVIOUS)
    done = fixed.inv("compose.up")
    assert done.returncode == 0, done.stderr
    assert f"a restart of {name} was interrupted" in done.stderr
    wait_until_it_serves(fixed)


def wait_until_it_serves(project):
    for _ in Deadline.after(60).polls():
        if project.serving() == {"first", "slow"}:
            break
    found = project.container()
    assert (found["Name"], found["State"]["Status"]) == (f"/{project.name}-mine", "running")
    assert project.serving() == {"first", "slow"}
