"""Which Kubernetes a cluster says that it is."""

import pytest

from tests.kubernetes.kubectl_script import write_script
from tests.kubernetes.projects import target
from tritonops.errors import InputError
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.version import cluster_version
from tritonops.kubernetes.targets.target import Autoscaling


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Ask a cluster of this version about a target, and give the answer with the calls of kubectl."""

    def answer(text, **options):
        client = '"clientVersion": {"major": "1", "minor": "34"}'
        body = f"""case $1 in
            version) echo '{{{client}, "serverVersion": {{"gitVersion": "{text}"}}}}' ;;
            api-versions) printf 'apps/v1\\nv1\\nmonitoring.coreos.com/v1\\n' ;;
        esac"""
        script = write_script(tmp_path / "bin", body, monkeypatch)
        found = target(**options)
        return cluster_version(Kubectl.of(found), found), script.calls

    return answer


def test_a_target_without_custom_resources_takes_one_command(ask):
    version, calls = ask("v1.31.4-gke.1256000")
    assert (version.number, version.apis) == ((1, 31), None)
    assert calls == ["version --output=json"]


@pytest.mark.parametrize(
    "options", [{"pod_monitor": True}, {"autoscaling": Autoscaling("keda", 1, 2, prometheus="http://prometheus")}]
)
def test_the_apis_are_asked_for_where_the_target_needs_custom_resources(ask, options):
    version, calls = ask("v1.34.2", **options)
    assert version.apis == {"apps/v1", "v1", "monitoring.coreos.com/v1"}
    assert calls[1:] == ["api-versions"]


@pytest.mark.parametrize(
    ("text", "problem"), [("v1.19.16", r"1\.20 is the oldest supported version"), ("", "expected a version")]
)
def test_a_cluster_of_a_version_that_is_not_supported_is_named(ask, text, problem):
    with pytest.raises(InputError, match=f"^the cluster of the context gpu-eu: {problem}"):
        ask(text)
