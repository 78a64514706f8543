"""The Triton of one pod, through a port-forward: which versions answer that they are ready."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tritonops.errors import ClusterForbiddenError, KubectlError, NotServedError, TritonUnreachableError
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.manifests.containers import GRPC_PORT
from tritonops.triton.startup.failure_reasons import failure_reasons

if TYPE_CHECKING:
    from tritonops.triton.client.client import TritonClient

Versions = Sequence[tuple[str, int]]
_LOG_BYTES = 16 << 20


def require_port_forward(kubectl: Kubectl) -> None:
    """Raise ClusterForbiddenError for a user who may not reach pods, so that no release could be proved."""
    attempt = kubectl.attempt(["auth", "can-i", "create", "pods", "--subresource=portforward"])
    if attempt.stdout.strip() == "no":
        raise ClusterForbiddenError('cannot create resource "pods/portforward", to ask pods what they serve')


@contextmanager
def pod_client(kubectl: Kubectl, pod: str, token: str | None) -> Iterator[TritonClient]:
    """Connect to the Triton of a pod. Raises PortForwardError."""
    from tritonops.triton.client.client import connect

    with kubectl.port_forward(pod, GRPC_PORT) as port, connect(f"127.0.0.1:{port}", token=token) as client:
        client.url = f"{pod} (port {GRPC_PORT}, through kubectl)"  # for errors, not the forwarded port
        yield client


def unready_versions(client: TritonClient, expected: Versions) -> list[tuple[str, int]] | None:
    """List the expected versions that are not ready; None where Triton does not answer, which it does once it has
    tried to load every model.
    """
    try:
        client.is_ready()
        return [(name, version) for name, version in expected if not _is_ready(client, name, version)]
    except TritonUnreachableError:
        return None


def _is_ready(client: TritonClient, name: str, version: int) -> bool:
    try:
        return client.is_model_ready(name, version)
    except NotServedError:
        return False


def load_failures(kubectl: Kubectl, pod: str, *, previous: bool = False) -> dict[str, str]:
    """Read from Triton's log why each model of a pod was not loaded; of its ended process if `previous`.

    The cluster starts an ended container again at any moment: until then its log is not the previous one, and after
    that the new process has logged nothing yet. So the previous log is asked for on both sides of the current one.
    """
    words = ["logs", pod, "--container=triton", f"--limit-bytes={_LOG_BYTES}"]
    for options in (["--previous"], [], ["--previous"]) if previous else ([],):
        with suppress(KubectlError):  # there is no such log
            if reasons := failure_reasons(kubectl.output([*words, *options])):
                return reasons
    return {}


def describe_unready(unready: Versions, reasons: dict[str, str]) -> str:
    """Name each model that is not served, with Triton's words."""
    names = dict.fromkeys(name for name, _ in unready)
    lines = []
    for name in names:
        versions = ", ".join(str(version) for other, version in unready if other == name)
        reason = reasons.get(name) or "not ready; Triton's log has no reason"
        lines.append(f"{name} (version {versions}): {reason}")
    return "\n".join(lines)


def smoke_failures(client: TritonClient, config_dir: Path, expected: Versions) -> dict[str, str]:
    """Run the smoke tests of a release's models, and give the problems of those that failed."""
    from tritonops.triton.smoke import find_smoke_tests, run_smoke_tests

    names = {name for name, _ in expected}
    tests = {name: path for name, path in find_smoke_tests(config_dir).items() if name in names}
    return {result.model: "; ".join(result.problems) for result in run_smoke_tests(client, tests) if result.problems}
