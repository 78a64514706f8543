"""Pods that lack a model, each in another way: none becomes ready, the deploy names the model, the old pods serve on.

`/v2/health/ready` answers 200 in five of these seven. Our own flags rule some of them out, and the check of the init
container the broken files: patches make them.
"""

import os
import re

import pytest

from tritonops.errors import RolledBackError
from tritonops.kubernetes.cluster.pod_state import pod_state
from tritonops.kubernetes.deploy import deploy

MODELS = ["alpha", "beta"]
NONE = ["--model-control-mode=none", "--disable-auto-complete-config", "--strict-readiness=true"]
FALSE = "--exit-on-error=false"
EXPLICIT = ["--model-control-mode=explicit", "--disable-auto-complete-config", "--strict-readiness=true", FALSE]
ALL = [f"--load-model={name}" for name in ("alpha", "beta", "digits")]
NO_GRAPH = "rm $m/alpha/1/model.onnx; echo no graph > $m/alpha/1/model.onnx"
NO_CONFIG = "rm $m/alpha/config.pbtxt; echo what is this { > $m/alpha/config.pbtxt"
NO_FOLDER = "mv $m/alpha /volume/alpha"
STARTS = {
    "it exits on errors": (NONE, NO_GRAPH, "alpha: .*Protobuf parsing failed"),
    "a broken ONNX file": ([*NONE, FALSE], NO_GRAPH, "alpha .*Protobuf parsing failed"),
    "a config that does not parse": ([*NONE, FALSE], NO_CONFIG, "alpha .*failed to read text proto"),
    "a folder that is not there": ([*EXPLICIT, *ALL], NO_FOLDER, "alpha .*model not found in any model repository"),
    "explicit, a config that does not parse": ([*EXPLICIT, *ALL], NO_CONFIG, "alpha .*failed to read text proto"),
    "explicit, nothing is loaded": (EXPLICIT, "true", "alpha .*Triton's log has no reason"),
    "not strict, two bad models of three": (
        [*NONE[:2], FALSE, "--strict-readiness=false"],
        f"{NO_GRAPH}; {NO_CONFIG.replace('alpha', 'beta')}",
        "alpha .*Protobuf parsing failed.*\n.*beta .*failed to read text proto",
    ),
}
IN_CI = ("it exits on errors", "a config that does not parse", "explicit, nothing is loaded")
"""Three of them; ALL_STARTS=1 runs the others, too."""
RUN = list(STARTS) if os.environ.get("ALL_STARTS") else IN_CI


@pytest.fixture(scope="module")
def served(team):
    """A target that serves a release."""
    deploy(team.project(), team.target(), on_step=print)
    return team


def patched(flags, command):
    """A pod with other flags, and a container that breaks its models once they are prepared."""
    breaker = {
        "name": "break",
        "image": None,
        "command": ["sh", "-c", f"m=$(echo /volume/releases/*/triton); {command}"],
        "volumeMounts": [{"name": "models", "mountPath": "/volume"}],
    }
    arguments = ["sh", "/etc/tritonops/serve.sh", "--model-repository=/models", *flags]
    return breaker, {"name": "triton", "args": arguments}


@pytest.mark.parametrize("start", RUN)
def test_a_pod_that_lacks_a_model_never_becomes_ready(served, start):
    flags, command, reason = STARTS[start]
    breaker, triton = patched(flags, command)
    breaker["image"] = served.image
    pod = {"initContainers": [{"name": "prepare"}, breaker], "containers": [triton]}
    patch = {"spec": {"minReadySeconds": 1, "template": {"spec": {"dnsPolicy": "Default", **pod}}}}
    target = served.target(patch=patch)
    live = served.live(target)
    (before,) = (each["metadata"]["name"] for each in live.pods(live.current))
    seen = list[str]()
    with pytest.raises(RolledBackError) as caught:
        deploy(served.project(), target, on_step=seen.append)
    message = str(caught.value)
    assert re.search(reason, message), message
    assert f"The release before, {live.current.release}, serves again" in message
    new = [step for step in seen if not step.startswith(before)]
    assert not any(step.endswith(": ready") for step in new), new
    after = served.live(target)
    (pod,) = after.pods(after.current)
    assert (pod["metadata"]["name"], pod_state(pod).is_ready) == (before, True)
