"""The Triton of a pod: a real one, behind a port-forward that is a script."""

import json

import pytest

from tests.kubernetes.scripted_cluster import ScriptedCluster
from tests.onnx_models import affine, write_model
from tritonops.errors import PortForwardError, TokenRefusedError
from tritonops.kubernetes.cluster.pod_triton import (
    describe_unready,
    load_failures,
    pod_client,
    smoke_failures,
    unready_versions,
)
from tritonops.server.ports import free_ports
from tritonops.triton.client.client import connect
from tritonops.triton.load import load_model


def failed(name, reason):
    return f"E1130 10:00:00.000000 1 model_lifecycle.cc:654] \"failed to load '{name}' version 1: {reason}\"\n"


@pytest.fixture(scope="module")
def served(triton):
    """A Triton with a model in the versions 1 and 2, of which it serves the latter."""
    write_model(triton.models_dir, "pod_doubles", {1: affine(2), 2: affine(2)})
    with connect(triton.grpc_url) as client:
        load_model(client, "pod_doubles")
    return triton.grpc_url.rpartition(":")[2]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    return ScriptedCluster(tmp_path / "bin", monkeypatch)


def test_the_versions_that_are_not_ready_are_listed(cluster, served):
    cluster.set_triton(served)
    with pod_client(cluster.kubectl, "p-1", None) as client:
        assert unready_versions(client, [("pod_doubles", 2)]) == []
        expected = [("pod_doubles", 1), ("pod_doubles", 2), ("pod_gone", 1)]
        assert unready_versions(client, expected) == [("pod_doubles", 1), ("pod_gone", 1)]


def test_a_triton_that_does_not_answer_yet_says_nothing_about_its_models(cluster):
    cluster.set_triton(free_ports().grpc)
    with pod_client(cluster.kubectl, "p-1", None) as client:
        assert unready_versions(client, [("pod_doubles", 2)]) is None


def test_errors_name_the_pod_and_not_the_port_of_this_machine(cluster, served):
    cluster.set_triton(served)
    with pod_client(cluster.kubectl, "p-1", None) as client:
        assert client.url == "p-1 (port 8001, through kubectl)"
    assert cluster.script.calls == ["port-forward pod/p-1 :8001 --address=127.0.0.1"]


def test_a_pod_that_is_gone_is_named(cluster):
    with pytest.raises(PortForwardError, match="p-1"), pod_client(cluster.kubectl, "p-1", None):
        pass


def test_the_token_is_passed_on(cluster, start_triton, tmp_path):
    (tmp_path / "triton").mkdir()
    server = start_triton(tmp_path / "triton", token="secret")
    cluster.set_triton(server.grpc_url.rpartition(":")[2])
    with pod_client(cluster.kubectl, "p-1", "secret") as client:
        assert client.index() == []
    with pod_client(cluster.kubectl, "p-1", None) as client, pytest.raises(TokenRefusedError):
        client.index()


def test_the_smoke_tests_of_the_expected_models_are_run_and_no_others(cluster, served, tmp_path):
    for name, answer in (("pod_doubles", 3), ("pod_gone", 3)):
        path = tmp_path / "configs" / name / "smoke.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"inputs": {"x": [[1, 0, 0]]}, "outputs": {"y": [[answer, 0, 0]]}}))
    cluster.set_triton(served)
    with pod_client(cluster.kubectl, "p-1", None) as client:
        found = smoke_failures(client, tmp_path / "configs", [("pod_doubles", 2)])
        assert found == {"pod_doubles": "y[0, 0] is 2.0, expected 3.0; 1 of 3 values differ"}
        assert smoke_failures(client, tmp_path / "nothing", [("pod_doubles", 2)]) == {}


def test_the_reasons_of_models_that_were_not_loaded_are_in_the_log_of_the_ended_process_or_of_this_one(
    tmp_path, monkeypatch, cluster
):
    cluster.set_triton(1, failed("alpha", "Internal: no memory"))
    assert load_failures(cluster.kubectl, "p-1") == {"alpha": "Internal: no memory"}
    assert "--previous" not in cluster.script.calls[-1]
    assert load_failures(cluster.kubectl, "p-1", previous=True) == {"alpha": "Internal: no memory"}
    assert cluster.script.calls[-1].endswith("--previous")
    script = cluster.script.folder / "kubectl"
    script.write_text(script.read_text().replace('case "$1', 'case "$*" in *--previous*) exit 1;; esac\ncase "$1', 1))
    assert load_failures(cluster.kubectl, "p-1", previous=True) == {"alpha": "Internal: no memory"}
    script.write_text("#!/bin/sh\nexit 1\n")
    assert load_failures(cluster.kubectl, "p-1", previous=True) == {}


def test_a_container_that_is_started_again_while_its_log_is_asked_for_keeps_its_reasons(cluster):
    cluster.set_triton(1, failed("alpha", "Internal: no memory"))
    script = cluster.script.folder / "kubectl"
    restart = """case "$*" in
    *--previous*) [ -e "$folder/restarted" ] || exit 1 ;;
    "logs "*) touch "$folder/restarted"; exit ;;
esac
case "$1"""
    script.write_text(script.read_text().replace('case "$1', restart, 1))
    assert load_failures(cluster.kubectl, "p-1", previous=True) == {"alpha": "Internal: no memory"}


def test_each_model_that_is_not_served_is_named_once_with_its_versions_and_tritons_reason():
    unready = [("alpha", 1), ("beta", 1), ("alpha", 3)]
    assert describe_unready(unready, {"alpha": "Internal: no memory"}) == (
        "alpha (version 1, 3): Internal: no memory\nbeta (version 1): not ready; Triton's log has no reason"
    )
