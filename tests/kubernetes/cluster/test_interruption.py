"""A deploy whose client is killed: the cluster ends at one release or the other, and the next deploy finishes it."""

import os
import random
import subprocess
import sys
import time

import pytest

from tests.paths import PROJECT
from tritonops.kubernetes.deploy import deploy
from tritonops.kubernetes.plan import plan

MODELS = ["alpha"]
KILLS = int(os.environ.get("KILLS", "2"))
"""Moments at which the client is killed."""
_SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))


@pytest.fixture(scope="module")
def served(team):
    """A target that serves; what the clean deploy of a change takes, in seconds."""
    team.write_targets(production={})
    deploy(team.project(), team.target(), on_step=print)
    team.write_catalog({"alpha": "second"})
    started = time.monotonic()
    deploy(team.project(), team.target(), on_step=print)
    return team, time.monotonic() - started


def kill_after(team, seconds):
    """Start a deploy and kill it: its lines until then."""
    command = [sys.executable, "-m", "tests.kubernetes.cluster.deploying", str(team.folder), team.hub.endpoint]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    time.sleep(seconds)
    process.kill()
    return process.communicate()[0].splitlines()


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_deploy_ends_at_one_release_or_the_other_and_is_finished(served, number):
    team, takes = served
    moment = random.Random(_SEED + number).uniform(0.3, takes)
    before = team.live(team.target()).current.release
    team.write_catalog({"alpha": ("main", "third", "second")[number % 3]})
    expected = plan(team.project(), team.target()).release
    lines = kill_after(team, moment)
    print(f"seed {_SEED}, killed after {moment:.1f} of {takes:.1f} s: {lines[-1:]}")
    if number % 2:  # what the cluster makes of it alone; else the next deploy finds it at work
        assert settled(team).current.release in (before, expected)
    steps = list[str]()
    result = deploy(team.project(), team.target(), on_step=steps.append)
    if result.result != "no changes":  # else it had just ended
        assert any(each in "\n".join(steps) for each in (before, "was interrupted: finishing it"))
    assert result.release == expected
    live = team.live(team.target())
    assert (live.current.release, live.current.result, live.is_complete) == (expected, "served", True)
    assert not plan(team.project(), team.target()).is_different
    assert len(live.pods(live.current)) == 1
    assert not leftover(team), "a port-forward of the killed client goes on"


def settled(team):
    """What is live once the cluster has ended the rollout, or has none to end."""
    end = time.monotonic() + 90
    while not (live := team.live(team.target())).is_complete:
        assert time.monotonic() < end, "the cluster does not end the rollout by itself"
        time.sleep(0.5)
    return live


def leftover(team):
    """The kubectl processes for this namespace that still run."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        done = subprocess.run(
            ["pgrep", "--full", f"namespace={team.namespace}"], capture_output=True, text=True, check=False
        )
        if not done.stdout:
            return ""
        time.sleep(0.1)
    return done.stdout
