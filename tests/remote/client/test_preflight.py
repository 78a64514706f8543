"""Whether a host is fit to serve, from its answers alone."""

import time

import pytest

from tritonops.errors import DeployError
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.client.preflight import MORE, NEEDS, HostAnswers, preflight, require_fit, run_check

FIT = {
    "has": ["rsync", "find", "docker", "nvidia-ctk"],
    "python": ["python3"],
    "engine": ["27.0.1"],
    "compose": ["2.30"],
    "gpus": ["2"],
    "free": ["9000000"],
    "inodes": ["90000"],
    "writes": ["yes"],
    "executes": ["yes"],
    "venv": ["yes"],
    "endpoint": ["unix:///var/run/docker.sock"],
    "image": ["nvcr.io/nvidia/tritonserver:26.07-py3"],
    "driver": ["570"],
    "ports": ["8000 8001 8002"],
    "listens": ["127.0.0.1:8000", "[::1]:8001", "0.0.0.0:22"],
}


def states(settings=None, **changed):
    """Run all checks; a changed answer of None is missing."""
    answers = {**FIT, "now": [str(int(time.time()))], **changed}
    found = HostAnswers({key: value for key, value in answers.items() if value}, settings or HostSettings("gpu-01"))
    return {check.name: run_check(check, found).state for check in (*NEEDS, *MORE)}


def problems(settings=None, **changed):
    return {name for name, state in states(settings, **changed).items() if state == "problem"}


def test_a_host_that_is_fit_has_no_problem():
    assert problems() == set()
    require_fit("gpu-01", HostAnswers(FIT, HostSettings("gpu-01")))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"has": ["find", "nvidia-ctk"]}, {"rsync"}),
        ({"has": ["rsync", "nvidia-ctk"]}, {"find"}),
        ({"python": None}, {"python"}),
        ({"python": None, "has": ["rsync", "find", "uv", "nvidia-ctk"]}, set()),
        ({"engine": ["Cannot connect to the Docker daemon"]}, {"docker"}),
        ({"endpoint": ["tcp://gpu-02:2375"]}, {"engine"}),
        ({"compose": None}, {"compose"}),
        ({"gpus": ["0"]}, {"gpu"}),
        ({"has": ["rsync", "find"]}, {"toolkit"}),
        ({"has": ["rsync", "find"], "contained": ["1"]}, set()),
        ({"contained": ["0"]}, {"gpu in a container"}),
        ({"free": ["100"]}, {"disk"}),
        ({"free": ["1000000"], "venv": None}, {"disk"}),
        ({"inodes": ["100"]}, {"inodes"}),
        ({"inodes": ["9000"], "venv": None}, {"inodes"}),
        ({"inodes": [""]}, set()),
        ({"writes": None, "executes": None}, {"writing"}),
        ({"executes": None}, {"execution"}),
        ({"colon": ["/srv/a:b"]}, {"path"}),
        ({"now": ["0"]}, {"clock"}),
        ({"driver": None}, {"driver"}),
        ({"listens": ["0.0.0.0:8001"]}, {"ports"}),
        ({"image": ["nvcr.io/nvidia/tritonserver:25.01-py3"]}, {"image"}),
        ({"image": ["example/triton:1"]}, set()),
        ({"security": ["name=rootless"]}, {"linger"}),
        ({"security": ["name=rootless"], "linger": ["yes"]}, set()),
    ],
)
def test_a_requirement_that_is_not_met_is_a_problem(changed, problem):
    assert problems(**changed) == problem


def test_what_does_not_apply_to_an_embedded_triton_on_cpu_is_not_asked():
    settings = HostSettings("gpu-01", config="cpu", runtime="embedded")
    found = states(settings, memory=["1000000"])
    assert {name for name, state in found.items() if state == "not asked"} >= {"docker", "gpu", "toolkit", "image"}
    assert problems(settings, memory=["100"]) == {"shared memory"}


def test_an_unfit_host_is_refused_with_every_problem_and_its_remedy():
    answers = HostAnswers({"security": ["name=rootless"], "gpus": ["0"]}, HostSettings("gpu-01"))
    with pytest.raises(DeployError, match="gpu-01 is not ready for a deploy") as caught:
        require_fit("gpu-01", answers)
    for words in ("rsync is not installed: sudo apt", "docker context use rootless", "nvidia-smi lists no GPU"):
        assert words in str(caught.value)


def test_the_questions_depend_on_how_the_host_serves():
    assert "compose=yes\ngpu_in_container=yes\n" in preflight(HostSettings("a"), venv="v", image="i")
    cpu = HostSettings("a", config="cpu", runtime="embedded")
    program = preflight(cpu, venv="v", image="", folder="/srv/it's here")
    assert "compose=no\ngpu_in_container=no\n" in program
    assert """root='/srv/it'"'"'s here'\n""" in program
