"""Values that are right, at their limits; test_parsing.py has those that are not."""

import pytest

from tests.kubernetes.projects import DIGEST
from tritonops.kubernetes.targets import rules

GOOD = [
    (rules.target_name, ["a", "a1-b", "a" * rules.MAX_TARGET]),
    (rules.namespace, ["1", "kube-system", "a" * 63]),
    (rules.object_name, ["a.b", "a" * 253]),
    (rules.data_key, ["ca.crt", "HF_TOKEN", "..a"]),
    (rules.context, ["arn:aws:eks:eu-west-1:1:cluster/a", "me@cluster", "gke_a_b"]),
    (rules.image, [f"a@{DIGEST}", f"r.io:5000/a/b-c__d.e:1.0_x@{DIGEST}", "localhost/a", "localhost/a:1"]),
    (rules.gpu_resource, ["nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "amd.com/gpu"]),
    (rules.quantity, ["1Gi", "1.5G", "500M", "64Ki"]),
    (rules.cpu, ["1", "0.5", "1500m"]),
    (rules.absolute_path, ["/a", "/a/b"]),
    (rules.server, ["http://a", "https://a.b:8443/x", "http://[::1]:9090"]),
    (rules.label_key, ["a", "a.b/c_d", "X"]),
    (rules.label_value, ["", "a", "a_b.c-1", "x" * 63]),
    (rules.metric, ["a", "a:b_c"]),
]
BAD = [
    (rules.target_name, ["", "A", "a_b", "-a"]),
    (rules.object_name, ["", "A", "a..b", "a" * 254]),
    (rules.data_key, ["", ".", "..", "a/b", "é"]),
    (rules.context, ["", " a", "-a", "a\nb"]),
    (rules.image, ["A", "a:b:c", f"a@{DIGEST}0", "localhost/", f"a b@{DIGEST}", f"{'a' * 500}@{DIGEST}"]),
    (rules.quantity, ["0Gi", "1", "1 Gi", "-1Gi", "1gi", "Gi", "1e3"]),
    (rules.cpu, ["0", "0.0", "1.5m", "a", "1.0001"]),
    (rules.absolute_path, ["", "/", "a", "/a/../b", "/a\nb"]),
    (rules.server, ["ftp://a", "a", "http://a b", "http://a?b=c", "http://u:p@a"]),
    (rules.label_key, ["", "a/b/c", "-a", "a" * 64, "A.b/c"]),
    (rules.metric, ["1a", "a-b", ""]),
]


@pytest.mark.parametrize(("rule", "values"), GOOD, ids=lambda each: getattr(each, "__name__", ""))
def test_what_kubernetes_takes_passes_unchanged(rule, values):
    assert [rule(value) for value in values] == values


@pytest.mark.parametrize(("rule", "value"), [(rule, value) for rule, values in BAD for value in values])
def test_what_it_would_refuse_is_refused(rule, value):
    with pytest.raises(ValueError):  # noqa: PT011 (each rule has words of its own)
        rule(value)


def test_a_rule_takes_no_time_for_a_long_value():
    for rule, _ in [*GOOD, *BAD]:
        for value in ("a" * 900_000, "a-" * 450_000, "a." * 450_000):
            try:
                rule(value)
            except ValueError:
                continue
