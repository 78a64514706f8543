"""What the real kubectl says where a cluster, a login or a right is missing, and what that is taken for."""

from __future__ import annotations

import json
import socket

import pytest

from tests import programs
from tests.http_servers import write_certificate
from tests.kubernetes.cluster.api_server import (
    CONTEXT,
    NAMESPACE,
    api_server,
    status,
    write_kubeconfig,
)
from tritonops.errors import (
    ClusterForbiddenError,
    ClusterUnreachableError,
    KubectlError,
    LoginRefusedError,
    PortForwardError,
    QuotaError,
    UnknownContextError,
    UnknownNamespaceError,
)
from tritonops.kubernetes.cluster.failures import known_failure, without_logs
from tritonops.kubernetes.cluster.kubectl import Kubectl

CONFIG_MAP = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}})
CREATE = ["create", "--validate=false", "--filename=-"]
PODS = "GET /api/v1/namespaces/triton/pods"
PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}


@pytest.fixture
def api(tmp_path, monkeypatch):
    """An API server, which kubectl is configured for."""
    programs.require("kubectl")
    monkeypatch.setenv("HOME", str(tmp_path))
    with api_server() as server:
        use(monkeypatch, tmp_path, server.url)
        yield server


def use(monkeypatch, folder, url, user=None):
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(folder / "kubeconfig", url, user)))


def failure(*words, stdin=None, context=CONTEXT):
    kubectl = Kubectl(context, NAMESPACE)
    with pytest.raises(Exception) as caught:  # noqa: PT011 (which one is what the tests are about)
        kubectl.output(words or ("get", "pods", "--output=json"), stdin=stdin)
    return caught.value


def error_of(failed, kind):
    assert type(failed) is kind, failed
    return str(failed)


def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.parametrize("words", [("version", "--output=json"), ("get", "pods"), ("api-versions",), ("logs", "x")])
def test_a_server_that_refuses_connections_is_unreachable(api, monkeypatch, tmp_path, words):
    use(monkeypatch, tmp_path, f"https://127.0.0.1:{closed_port()}")
    text = error_of(failed := failure(*words), ClusterUnreachableError)
    assert text.startswith(f"no cluster answers at the context {CONTEXT}: ")
    assert "refused" in text
    assert failed.exit_code == 3
    assert failed.hint == f"kubectl --context {CONTEXT} get --raw /readyz"


def test_a_host_that_is_not_there_is_unreachable(api, monkeypatch, tmp_path):
    use(monkeypatch, tmp_path, "https://cluster.invalid:6443")
    assert "cluster.invalid" in error_of(failure(), ClusterUnreachableError)


def test_a_certificate_of_an_unknown_authority_is_named(api, monkeypatch, tmp_path):
    with api_server(write_certificate(tmp_path / "certificate.pem")) as server:
        use(monkeypatch, tmp_path, server.url)
        assert "x509: certificate signed by unknown authority" in error_of(failure(), ClusterUnreachableError)


def test_a_server_that_is_no_server_of_a_cluster_has_an_error_with_kubectls_words(api):
    api.answers["GET /"] = (200, "hello")
    assert "`kubectl get` failed: " in error_of(failure(), KubectlError)


@pytest.mark.parametrize(
    ("code", "reason"), [(503, "ServiceUnavailable"), (504, "Timeout")], ids=["unavailable", "timeout"]
)
def test_an_api_server_that_cannot_answer_now_is_unreachable(api, code, reason):
    api.answers[PODS] = (code, status(code, reason, "the server cannot do it now"))
    assert f"({reason}): the server cannot do it now" in error_of(failure(), ClusterUnreachableError)


def test_an_unknown_context_is_an_input_error(api):
    error_of(failure(context='of "another" cluster'), UnknownContextError)
    failed = failure(context="gone")
    assert "kubectl has no context 'gone'" in error_of(failed, UnknownContextError)
    assert "kubectl config get-contexts" in str(failed.hint)
    assert failed.exit_code == 2


def test_without_a_configuration_the_context_is_unknown(api, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    error_of(failure(), UnknownContextError)


@pytest.mark.parametrize("request_", ["GET /", PODS], ids=["from the start", "for this"])
def test_credentials_that_are_not_accepted_are_a_refused_login(api, request_):
    api.answers[request_] = (401, status(401, "Unauthorized", "Unauthorized"))
    for words in (("get", "pods", "--output=json"), *([("version", "--output=json")] if request_ == "GET /" else [])):
        text = error_of(failed := failure(*words), LoginRefusedError)
        assert text.startswith(f"the cluster of the context {CONTEXT} refuses the login: You must be logged in")
        assert "auth whoami" in str(failed.hint)


def test_a_login_plugin_that_is_missing_is_named_and_not_the_page_about_plugins(api, monkeypatch, tmp_path):
    plugin = {"exec": {**PLUGIN, "command": "no-such-plugin", "installHint": "Install it:\nhttps://example.com"}}
    use(monkeypatch, tmp_path, api.url.replace("http:", "https:"), plugin)
    for words in (("version", "--output=json"), ("get", "pods"), ("api-versions",)):
        text = error_of(failure(*words), LoginRefusedError)
        assert text.endswith("getting credentials: exec: executable no-such-plugin not found")


def test_a_login_plugin_that_fails_is_named(api, monkeypatch, tmp_path):
    use(monkeypatch, tmp_path, api.url.replace("http:", "https:"), {"exec": {**PLUGIN, "command": "false"}})
    assert "executable false failed with exit code 1" in error_of(failure(), LoginRefusedError)


def test_a_user_without_credentials_is_a_refused_login_and_nobody_is_asked(api, monkeypatch, tmp_path):
    use(monkeypatch, tmp_path, "https://127.0.0.1:1", {})
    assert "its user has no credentials" in error_of(failure(), LoginRefusedError)


def test_a_right_that_is_missing_is_named_in_the_clusters_words(api):
    message = 'pods is forbidden: User "ci" cannot list resource "pods" in API group "" in the namespace "triton"'
    api.answers[PODS] = (403, status(403, "Forbidden", message))
    failed = failure()
    assert error_of(failed, ClusterForbiddenError) == f"the cluster does not allow it: {message}"
    assert "docs/kubernetes.md" in str(failed.hint)


def test_a_quota_that_is_used_up_is_no_missing_right(api):
    message = 'configmaps "x" is forbidden: exceeded quota: maps, requested: count/configmaps=1, used: 5, limited: 5'
    api.answers["POST /api/v1/namespaces/triton/configmaps"] = (403, status(403, "Forbidden", message))
    failed = failure(*CREATE, stdin=CONFIG_MAP)
    text = error_of(failed, QuotaError)
    assert text == "exceeded quota: maps, requested: count/configmaps=1, used: 5, limited: 5"
    assert "describe resourcequota" in str(failed.hint)


def test_a_namespace_that_is_not_there_is_an_input_error(api):
    missing = (404, status(404, "NotFound", 'namespaces "triton" not found'))
    api.answers["POST /api/v1/namespaces/triton/configmaps"] = missing
    api.answers["GET /api/v1/namespaces/triton"] = missing
    for failed in (failure(*CREATE, stdin=CONFIG_MAP), failure("get", "namespace", "triton", "--output=name")):
        assert "has no namespace 'triton'" in error_of(failed, UnknownNamespaceError)
        assert failed.hint == f"kubectl --context {CONTEXT} create namespace triton"
        assert failed.exit_code == 2


@pytest.mark.parametrize(
    "message",
    [
        'Internal error occurred: failed calling webhook "policy.example.com": context deadline exceeded',
        'Get "https://10.0.0.7:10250/containerLogs/triton/x/triton": dial tcp 10.0.0.7:10250: i/o timeout',
    ],
    ids=["a webhook", "a node"],
)
def test_an_api_server_that_cannot_reach_something_is_reached_itself(api, message):
    api.answers[PODS] = (500, status(500, "InternalError", message))
    assert message in error_of(failure(), KubectlError)


def test_the_node_of_a_pod_that_is_not_reached_is_no_unreachable_cluster(api):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "status": {"phase": "Running"}}
    api.answers[f"{PODS}/x"] = (200, {**pod, "spec": {"containers": [{"name": "triton"}]}})
    reason = "error dialing backend: dial tcp 10.0.0.7:10250: connect: connection refused"
    for method in ("GET", "POST"):
        api.answers[f"{method} /api/v1/namespaces/triton/pods/x/portforward"] = (500, status(500, "", reason))
    with (
        pytest.raises(PortForwardError, match=r"cannot reach the pod x: .*dial"),
        Kubectl(CONTEXT, NAMESPACE).port_forward("x", 8001),
    ):
        pass


def test_any_other_failure_is_not_recognized():
    assert known_failure("error: unknown flag: --x", context=CONTEXT, namespace=NAMESPACE) is None


def test_what_kubectl_logs_about_its_retries_is_dropped_also_where_it_has_several_lines():
    text = (
        'E1130 16:36:43.503762    3482 memcache.go:265] "Unhandled Error" err=<\n'
        "\tcouldn't get current server API group list: getting credentials: exec: executable x not found\n"
        "\t\n"
        "\thttps://example.com\n"
        " >\n"
        'E1130 16:36:43.885730    3554 memcache.go:265] "Unhandled Error" err="dial tcp: refused"\n'
        "Warning: deprecated\n"
        "error: one\n\ttwo\n"
        "W1130 16:36:43.885730    3554 loader.go:221] Config not found\n"
    )
    assert without_logs(text) == "Warning: deprecated\nerror: one\n\ttwo"
