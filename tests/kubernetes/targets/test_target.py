"""What follows from the settings of a target."""

from tests.kubernetes.projects import target
from tritonops.kubernetes.targets.target import Autoscaling


def test_it_serves_entries_for_all_for_itself_and_for_its_groups():
    found = target("production", groups=("gpu", "eu"))
    assert [found.serves(hosts) for hosts in ([], ["production"], ["eu", "x"], ["gpu-01"])] == [True, True, True, False]


def test_its_configs_are_those_of_its_gpus():
    assert [target(gpus=gpus).variant for gpus in (0, 1, 8)] == ["cpu", "gpu", "gpu"]


def test_its_bounds_are_the_replicas_without_an_autoscaler():
    scaled = target(autoscaling=Autoscaling("hpa", 1, 4))
    assert [(each.fewest_replicas, each.most_replicas) for each in (target(replicas=3), scaled)] == [(3, 3), (1, 4)]
