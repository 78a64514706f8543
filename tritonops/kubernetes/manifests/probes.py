"""The startup, readiness and liveness probes of Triton's container."""

from __future__ import annotations

from tritonops.kubernetes.manifests import scripts
from tritonops.kubernetes.manifests.names import Manifest
from tritonops.kubernetes.manifests.timing import PROBE_PERIOD, Timing
from tritonops.kubernetes.release.release import Release

_PROBES_A_SECOND = 200
"""Versions that a startup probe certainly asks for in a second; a real Triton answers 5,000."""


def probes(release: Release, timing: Timing) -> Manifest:
    """Write them as fields of the container."""
    health = {"path": "/v2/health/ready", "port": "http"}
    return {
        "startupProbe": {
            "exec": {"command": ["bash", f"{scripts.FOLDER}/{scripts.STARTED}"]},
            "periodSeconds": PROBE_PERIOD,
            "timeoutSeconds": max(PROBE_PERIOD, len(release.expected) // _PROBES_A_SECOND),
            "failureThreshold": timing.start_failures,
        },
        "readinessProbe": {"httpGet": health, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 1},
        # It asks whether the process answers: a long load must not be killed.
        "livenessProbe": {
            "httpGet": {**health, "path": "/v2/health/live"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }
