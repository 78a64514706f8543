"""Versions of Kubernetes as people and `kubectl version` write them."""

import pytest

from tritonops.errors import InputError
from tritonops.kubernetes.manifests.versions import ClusterVersion, parse_version


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.34", (1, 34)), ("v1.34.2", (1, 34)), ("1.31+", (1, 31)), ("v1.29.4-eks-036c24b", (1, 29)), ("2.0", (2, 0))],
)
def test_a_version_is_read(text, number):
    assert parse_version(text).number == number


@pytest.mark.parametrize("text", ["", "1", "34", "latest", "1.34x", "1,34", "1.34 ", "1.٣"])
def test_anything_else_is_refused(text):
    with pytest.raises(InputError, match="expected a version like"):
        parse_version(text)


def test_versions_without_startup_probes_are_too_old():
    with pytest.raises(InputError, match=r"1\.20 is the oldest supported version"):
        parse_version("1.19.16")


def test_what_is_left_out_is_noted_once():
    version = parse_version("1.20")
    assert [version.has((1, 20), "old"), version.has((1, 21), "new"), version.has((1, 21), "new")] == [
        True,
        False,
        False,
    ]
    assert version.left_out == ["new (from Kubernetes 1.21)"]


def test_an_api_that_the_cluster_does_not_have_is_left_out_and_noted():
    version = ClusterVersion((1, 34), frozenset({"apps/v1", "keda.sh/v1alpha1"}))
    assert version.has_api("keda.sh/v1alpha1", "ScaledObject")
    assert not version.has_api("monitoring.coreos.com/v1", "PodMonitor")
    assert version.left_out == ["PodMonitor: the cluster has no monitoring.coreos.com/v1"]


def test_a_cluster_that_was_not_asked_for_its_apis_may_have_any():
    version = parse_version("1.34")
    assert version.has_api("monitoring.coreos.com/v1", "PodMonitor")
    assert version.left_out == []
