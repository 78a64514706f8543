"""--dry shows a plan or refuses; it never does what it was to preview."""

import pytest

from tasks.command_line.dry_run import PLANS
from tests.tasks.command_lines import CONTEXTS, TASKS


def test_a_task_that_changes_something_and_has_no_plan_is_refused(inv, project_of_two):
    assert inv("models.download")[0] == 0
    code, out, err = inv("models.disable", "clip", "--dry")
    assert (code, out) == (2, "")
    assert err.startswith("error: models.disable has no dry run\nhint: --dry works with triton.apply, remote.deploy")
    assert (project_of_two / "triton/clip").is_dir()


@pytest.mark.parametrize("place", ["before", "after"])
def test_dry_runs_a_task_that_changes_nothing(inv, project_of_two, place):
    words = ["--dry", "models.list"] if place == "before" else ["models.list", "--dry"]
    code, out, _ = inv(*words)
    assert code == 0
    assert "clip" in out


def test_a_lock_that_would_be_written_is_compared_instead(inv, project_of_two):
    code, _, err = inv("models.lock", "--dry")
    assert code == 4
    assert "clip/1: is not locked" in err
    assert not (project_of_two / "models.lock").exists()


def test_an_apply_shows_its_plan(inv, project_of_two, start_triton, monkeypatch):
    server = start_triton(project_of_two / "triton")
    monkeypatch.setenv("TRITON_URL", server.grpc_url)
    code, out, _ = inv("triton.apply", "clip", "--cpu", "--dry", "--timeout", "5", "--yes")
    assert code == 4
    assert "1 model: 1 to add, 0 to change, 0 to remove" in out
    assert not (project_of_two / "triton/clip").exists()


def test_every_task_is_read_only_or_has_a_plan_or_is_known_to_change_something():
    changes = {name for name in TASKS if not TASKS[name].read_only} - PLANS.keys()
    assert changes == {
        *("quickstart", "test", "format", "bench", "dev.docs", "dev.engine", "dev.relock"),
        *("models.add", "models.config", "models.disable", "models.download", "models.enable"),
        *("models.generate-config", "models.prune", "models.remove"),
        *("triton.load", "triton.unload", "triton.serve"),
        *("server.up", "server.down", "server.restart"),
        *("compose.up", "compose.down", "compose.restart", "compose.pull", "compose.build-cpu"),
        *("remote.rollback", "remote.restart", "remote.run", "remote.lock", "remote.env"),
        *("kubernetes.build", "kubernetes.render", "kubernetes.rollback", "kubernetes.remove"),
    }
    assert PLANS.keys() < CONTEXTS.keys()
