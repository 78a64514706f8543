"""Whatever one model is, the others are served: by `inv compose.up`, and by its exclude file with plain Compose."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from tests.compose.projects import ComposeProject, docker, remove_project
from tests.onnx_models import affine, write_model
from tests.server.bad_models import GOOD, TEN
from tests.server.python_models import python_model
from tritonops.errors import RepositoryError
from tritonops.triton.client.client import connect
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.load import load_model
from tritonops.triton.startup.exclude_file import ExcludeFile

pytestmark = pytest.mark.docker
MODEL_TIMEOUT = 60.0  # on a busy machine, ten models of ONNX Runtime at once take their time


@pytest.fixture(scope="module")
def beside_ten(tmp_path_factory):
    """Ten good models and ten bad ones, `inv compose.up` of them, and the reasons that are due."""
    project = ComposeProject.at(tmp_path_factory.mktemp("ten"), *GOOD)
    try:
        expected = dict(make(project.models_dir) for make in TEN)
        expected["never_returns"] = f"still loading after {MODEL_TIMEOUT:g} s; --model-timeout allows more"
        expected["dangling_version"] = "dangling_version/1 -> /nonexistent/1 is dangling in the container"
        done = project.inv("compose.up", "--cpu", "--model-timeout", str(MODEL_TIMEOUT))
        yield project, expected, done
    finally:
        remove_project(project.name)


def wait_until_serving(project, expected):
    for _ in Deadline.after(300).polls():
        if project.serving() == set(expected):
            return
    raise AssertionError(project.serving())


def test_ten_good_models_are_served_and_the_ten_bad_ones_are_named_with_their_reasons(beside_ten):
    project, expected, done = beside_ten
    assert done.returncode == 1, done.stderr
    assert project.serving() == set(GOOD)
    for name, reason in expected.items():
        assert re.search(rf"{name}: .*{reason}", done.stderr, re.DOTALL), (name, done.stderr)
    assert not [name for name in GOOD if re.search(rf"\b{name}: ", done.stderr)]


def test_they_are_left_out_by_plain_compose_a_restart_and_a_crash_too(beside_ten):
    project, _, _ = beside_ten
    chosen = project.service()
    name = project.container()["Name"][1:]
    docker("restart", "-t", "0", name)
    wait_until_serving(project, GOOD)
    os.kill(project.container()["State"]["Pid"], signal.SIGKILL)
    wait_until_serving(project, GOOD)
    docker("rm", "--force", name)
    chosen.docker.output(["docker", "compose", "--file", "ml.yml", "up", "--detach", "triton"])
    wait_until_serving(project, GOOD)
    # It is loaded, and fails as any model may.
    check = project.container()["Config"]["Healthcheck"]["Test"][1:]
    done = subprocess.run(["docker", "exec", name, *check], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "not READY: models/long_error"


def test_the_next_up_names_them_again_and_waits_for_none(beside_ten):
    project, expected, _ = beside_ten
    before = project.container()["State"]["StartedAt"]
    done = project.inv("compose.up", "--cpu")
    assert done.returncode == 1
    assert {name for name in expected if f"{name}: " in done.stderr} == set(expected)
    assert project.container()["State"]["StartedAt"] == before


def test_a_load_that_never_ended_is_tried_again_once_its_files_have_changed(beside_ten):
    project, expected, _ = beside_ten
    code = project.models_dir / "never_returns" / "1" / "model.py"
    code.write_text(code.read_text().replace("sleep(1e6)", "sleep(0)"))
    done = project.inv("compose.restart", "--cpu")
    assert project.serving() == {*GOOD, "never_returns"}, done.stderr
    assert (done.returncode, "starting again without" in done.stderr) == (1, False)
    assert ExcludeFile(project.models_dir).reasons().keys() == expected.keys() - {"never_returns", "long_error"}


def test_a_model_that_was_fixed_is_taken_off_by_a_load_or_by_the_next_up(project):
    python_model(project.models_dir, "by_load").joinpath("1", "model.py").unlink()
    python_model(project.models_dir, "by_up").joinpath("1", "model.py").unlink()
    served = project.up()
    exclude = ExcludeFile(project.models_dir)
    assert {row.name for row in served.models if "model.py is missing" in (row.reason or "")} == {"by_load", "by_up"}
    assert exclude.reasons().keys() == {"by_load", "by_up"}
    for name in ("by_load", "by_up"):
        shutil.rmtree(project.models_dir / name)
        write_model(project.models_dir, name, {1: affine(2)})
    with connect(served.url) as client:
        load_model(client, "by_load", disk=ServedFolder.of(project.models_dir, served.url))
    assert exclude.reasons().keys() == {"by_up"}
    docker("restart", project.container()["Id"])
    wait_until_serving(project, {"first", "by_load"})
    project.up(recreate=True)
    assert project.serving() == {"first", "by_load", "by_up"}
    assert not exclude.path.exists()


def test_an_exclude_file_that_cannot_be_written_is_no_reason_to_hang(project):
    python_model(project.models_dir, "broken").joinpath("1", "model.py").unlink()
    project.models_dir.with_name(".store").write_text("in the way of the lock")
    with pytest.raises(RepositoryError, match=r"cannot write .*triton/\.exclude"):
        project.up()
    assert project.containers() == []
