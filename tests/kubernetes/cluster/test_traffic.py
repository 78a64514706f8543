"""Requests through the Service, while pods come and go: none fails."""

import json
import os
import time
from contextlib import contextmanager
from typing import Any

import pytest

from tests.kubernetes.cluster.team import kubectl
from tritonops.kubernetes.deploy import deploy
from tritonops.kubernetes.rollback import roll_back

MODELS = ["alpha"]
REQUESTS = int(os.environ.get("REQUESTS", "3000"))
"""At least so many in all; 20000 for the whole way."""
WHOLE = REQUESTS >= 20_000
RATES = {"kept": 250, "new": 80}
"""Requests a second of a client that keeps its channel, and of one that opens a channel for each request."""


@contextmanager
def traffic(team, target):
    """Run both clients in pods; at the end, what each saw."""
    service = team.live(target).by_name["Service", f"{target.name}-triton"]
    address = f"{service['spec']['clusterIP']}:8001"
    for way, rate in RATES.items():
        module = "tests.kubernetes.cluster.client_pod"
        team.run_pod(f"client-{way}", ["python3", "-m", module, address, way, "1", str(rate)])
    names = [f"pod/client-{way}" for way in RATES]
    team.kubectl.output(["wait", *names, "--for=condition=Ready", "--timeout=60s"], timeout=70)
    seen: dict[str, Any] = {}
    try:
        yield seen
        for way in RATES:
            team.kubectl.output(["exec", f"client-{way}", "--", "sh", "-c", "kill -TERM 1"])
            seen[way] = json.loads(last_line(team, f"client-{way}"))
    finally:
        kubectl("-n", team.namespace, "delete", *names, "--wait=false")


def last_line(team, pod):
    """What a client printed at its end."""
    end = time.monotonic() + 30
    while not (text := team.kubectl.output(["logs", pod]).strip()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return text.splitlines()[-1]


@pytest.mark.timeout(900)
def test_no_request_fails_while_pods_come_and_go(team):
    target = team.target(replicas=2)
    deploy(team.project(), target, on_step=print)
    with traffic(team, target) as seen:
        team.write_catalog({"alpha": "second"})
        deploy(team.project(), target, on_step=print)
        if WHOLE:
            roll_back(team.project(), target, to=None, on_step=print)
            deploy(team.project(), target, on_step=print)
            for replicas in (1, 2, 1):
                deploy(team.project(), team.target(replicas=replicas), on_step=print)
                time.sleep(5)
            deploy(team.project(), target, on_step=print)
        pod = team.live(target).pods()[0]["metadata"]["name"]
        kubectl("-n", team.namespace, "delete", "pod", pod)
        deploy(team.project(), target, on_step=print)
        time.sleep(max(0.0, (REQUESTS - 2000) / sum(RATES.values()) / 10))
    print(seen)
    assert [each["failures"] for each in seen.values()] == [{}, {}]
    for way, each in seen.items():  # each client met both releases, and asked all the time
        assert set(each["answers"]) == {"2", "3"}, way
        assert each["requests"] >= REQUESTS * RATES[way] / sum(RATES.values()) / 2, way
    assert sum(each["requests"] for each in seen.values()) >= REQUESTS
