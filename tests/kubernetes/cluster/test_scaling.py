"""The signal that autoscalers get, as a real Prometheus computes it: the number of requests that truly wait."""

import json
import os
import re
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from statistics import mean

import pytest

from tests import programs
from tests.onnx_models import busy
from tests.remote.sshd import free_port
from tritonops.kubernetes.deploy import deploy
from tritonops.kubernetes.manifests.availability import waiting_requests

MODELS, MODEL = ["alpha"], busy
WINDOW = int(os.environ.get("WINDOW", "20"))
"""Seconds that the rate is taken over; the rendered query has a minute."""
CLIENTS = 8
PENDING = re.compile(r"^nv_inference_pending_request_count\{[^}]*\} ([\d.e+]+)$", re.MULTILINE)


def config(team, pods):
    """Scrape these pods, with the labels that PodMonitors set; Debian's Prometheus cannot discover pods by itself."""
    targets = [
        {
            "targets": [f"{pod['status']['podIP']}:8002"],
            "labels": {"namespace": team.namespace, "pod": pod["metadata"]["name"]},
        }
        for pod in pods
    ]
    intervals = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    return {"global": intervals, "scrape_configs": [{"job_name": "triton", "static_configs": targets}]}


@contextmanager
def prometheus(team, pods, folder):
    """Run a Prometheus that scrapes these pods; its URL."""
    if not (program := programs.find("prometheus")):
        programs.unavailable("no prometheus, install prometheus")
    (folder / "prometheus.json").write_text(json.dumps(config(team, pods)))
    address = f"127.0.0.1:{free_port()}"
    assert program
    command = [program, f"--config.file={folder}/prometheus.json", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
        try:
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait()


def query(prometheus, text):
    """Ask for one value; None where there is none."""
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found = json.load(answer)["data"]["result"]
    except OSError:
        return None
    return float(found[0]["value"][1]) if found else None


@contextmanager
def load(team, target):
    """Let clients ask as fast as they are answered."""
    service = team.live(target).by_name["Service", f"{target.name}-triton"]
    address = f"{service['spec']['clusterIP']}:8001"
    module = "tests.kubernetes.cluster.client_pod"
    team.run_pod("load", ["python3", "-m", module, address, "kept", str(CLIENTS), "100000"])
    team.kubectl.output(["wait", "pod/load", "--for=condition=Ready", "--timeout=60s"], timeout=70)
    yield
    team.kubectl.output(["exec", "load", "--", "sh", "-c", "kill -TERM 1"])


def waiting(address):
    """How many requests wait now, in all models of a pod."""
    with urllib.request.urlopen(f"http://{address}:8002/metrics", timeout=5) as answer:
        return sum(map(float, PENDING.findall(answer.read().decode())))


def test_the_signal_is_the_number_of_requests_that_wait(team, tmp_path):
    target = team.target()
    deploy(team.project(), target, on_step=print)
    pods = team.live(target).pods()
    text = waiting_requests(target).replace("[1m]", f"[{WINDOW}s]")
    with prometheus(team, pods, tmp_path) as url, load(team, target):
        end = time.monotonic() + 60
        while not query(url, text):  # it has read the pod twice, and the load has begun
            assert time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.2)
        samples, end = list[float](), time.monotonic() + WINDOW + 3
        while time.monotonic() < end:
            samples.append(waiting(pods[0]["status"]["podIP"]))
            time.sleep(0.05)
        signal = query(url, text)
    truth = mean(samples[len(samples) // 10 :])
    print(f"{signal:.2f} by the query, {truth:.2f} by {len(samples)} samples of the gauge")
    assert truth > 1
    assert signal == pytest.approx(truth, rel=0.15)
