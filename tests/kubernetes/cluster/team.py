"""A team: a namespace with a Hub in a pod, and a checkout whose models are on that Hub."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from tests.hub.server import Hub
from tests.kubernetes.cluster.hub_pod import PUSHES, replay
from tests.kubernetes.cluster.machine import ADMIN, CONTEXT
from tests.onnx_models import affine, write_model
from tests.paths import PROJECT
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, read_live
from tritonops.kubernetes.targets.target import Downloads, Target
from tritonops.models.lock import lock_models
from tritonops.project import Project

HUB_PORT = 8080
DIGITS = PROJECT / "examples/digits"
SCALES = {"main": 2.0, "second": 3.0, "third": 4.0}
"""The branches of each repository, and what the model of each multiplies with."""
MakeModel = Callable[[float], onnx.ModelProto]
QUICK = {"spec": {"minReadySeconds": 1, "template": {"spec": {"dnsPolicy": "Default"}}}}


@dataclass
class Team:
    """A namespace of the cluster, and a checkout."""

    namespace: str
    folder: Path
    image: str
    """Of the init container, and of the pods of these tests."""
    hub: Hub
    """The same as in the pod, for `inv models.lock`."""
    hub_address: str = ""
    kubectl: Kubectl = field(init=False)

    def __post_init__(self) -> None:
        self.kubectl = Kubectl(CONTEXT, self.namespace)

    @classmethod
    def at(cls, folder: Path, namespace: str, image: str, names: Sequence[str], *, model: MakeModel = affine) -> Team:
        """Make the namespace, and a Hub with digits and these models. End it with `end`."""
        content = folder / "content"
        content.mkdir(parents=True)
        _write_pushes(content, names, model)
        team = cls(namespace, folder / "checkout", image, Hub(folder))
        replay(team.hub, content)
        kubectl("create", "namespace", namespace)
        team.run_pod(
            "hub",
            ["python3", "-m", "tests.kubernetes.cluster.hub_pod", "$(POD_IP)", str(HUB_PORT), "/content"],
            {"/content": content},
        )
        team.kubectl.output(["wait", "pod/hub", "--for=condition=Ready", "--timeout=120s"], timeout=130)
        pod = team.kubectl.json(["get", "pod/hub"])
        team.hub_address = f"http://{pod['status']['podIP']}:{HUB_PORT}"
        team.write_catalog(dict.fromkeys(names, "main"))
        return team

    def end(self) -> None:
        """Remove the namespace with all that is in it."""
        self.hub.__exit__(None, None, None)
        kubectl("delete", "namespace", self.namespace, "--wait=false")

    def run_pod(self, name: str, command: Sequence[str], folders: Mapping[str, Path] | None = None) -> None:
        """Start a pod with this project's tests, and folders of this machine by their paths in it."""
        places = {"/project": PROJECT, **(folders or {})}
        volumes = [
            {"name": f"v{number}", "hostPath": {"path": str(path)}} for number, path in enumerate(places.values())
        ]
        container = {
            "name": "main",
            "image": self.image,
            "imagePullPolicy": "Never",
            "command": list(command),
            "workingDir": "/project",
            "env": [
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "PYTHONPATH", "value": "/project:/opt/tritonops/packages"},
                {"name": "PYTHONUNBUFFERED", "value": "1"},
            ],
            "volumeMounts": [{"name": f"v{number}", "mountPath": path} for number, path in enumerate(places)],
            "securityContext": {"runAsUser": 0},
        }
        spec = {
            "containers": [container],
            "volumes": volumes,
            "restartPolicy": "Never",
            "dnsPolicy": "Default",
            "terminationGracePeriodSeconds": 1,
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        self.kubectl.output(["create", "--filename=-"], stdin=json.dumps(pod))

    def write_catalog(self, models: Mapping[str, str]) -> None:
        """Declare digits, and these models in the version of a branch each; lock them."""
        entries = {"digits": "main", **models}
        lines = [
            f'[[models.{name}]]\nrepo_id = "team/{name}"\nrevision = "{branch}"\ntriton_version = 1\n'
            f'model_path = "model.onnx"\n'
            for name, branch in entries.items()
        ]
        configs = self.folder / "triton-config"
        for name in models:
            for variant in ("cpu", "gpu"):
                path = configs / name / f"{variant}.pbtxt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text((self.folder.parent / "content/main" / name / "config.pbtxt").read_text())
        for path in (DIGITS / "triton-config/digits").iterdir():
            (configs / "digits").mkdir(parents=True, exist_ok=True)
            (configs / "digits" / path.name).write_bytes(path.read_bytes())
        (self.folder / "models.toml").write_text("\n".join(lines))
        lock_models(self.project())

    def project(self, **environ: str) -> Project:
        """Read the checkout as it is now."""
        values = {"HF_ENDPOINT": self.hub.endpoint, "TRITON_IMAGE": CPU_IMAGE, **environ}
        return Project.load(self.folder, environ=values, cwd=self.folder, env_file=False)

    def target(self, name: str = "production", *, patch: Mapping[str, Any] | None = None, **options: Any) -> Target:
        """A target of this namespace without GPUs, on local images; a patch is merged into its Deployment."""
        values = {**self._defaults, "downloads": Downloads(hf_endpoint=self.hub_address), **options}
        return Target(name=name, **values, patch=self._patch(name, patch or QUICK, values["namespace"]))

    @property
    def _defaults(self) -> dict[str, Any]:
        """The options of every target, by the keys of kubernetes.toml."""
        return {
            "context": CONTEXT,
            "namespace": self.namespace,
            "image": CPU_IMAGE,
            "init_image": self.image,
            "gpus": 0,
            "spare": True,
            "shared_memory": "64Mi",
        }

    def write_targets(self, **targets: Mapping[str, Any]) -> None:
        """Write kubernetes.toml: each of these targets runs here without GPUs, on local images."""
        lines = list[str]()
        for name, options in targets.items():
            self._patch(name, QUICK, self.namespace)
            values = {**self._defaults, "patch": f"{name}-patch.json", **options}
            lines.append(f"[targets.{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
            lines.append(f"[targets.{name}.downloads]\nHF_ENDPOINT = {json.dumps(self.hub_address)}\n")
        (self.folder / "kubernetes.toml").write_text("\n".join(lines))

    def digests(self, pod: str) -> dict[str, str]:
        """Give the SHA-256 of each file that Triton of a pod may read, by its path in the models directory."""
        words = ["exec", pod, "--container=triton", "--", "sh", "-c", "cd /models && find . -type f | xargs sha256sum"]
        lines = (line.split(maxsplit=1) for line in self.kubectl.output(words).splitlines())
        return {path.removeprefix("./"): digest for digest, path in lines}

    def _patch(self, name: str, patch: Mapping[str, Any], namespace: str) -> Path:
        path = self.folder / f"{name}-patch.json"
        metadata = {"name": f"{name}-triton", "namespace": namespace}
        path.write_text(json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, **patch}))
        return path

    def live(self, target: Target) -> LiveTarget:
        """Read what the cluster has of a target."""
        return read_live(self.kubectl, target)


def _write_pushes(content: Path, names: Sequence[str], model: MakeModel) -> None:
    """Write the repositories: digits, and a model for each name in every branch."""
    pushes = [{"repo_id": "team/digits", "branch": "main", "files": {"model.onnx": "digits.onnx"}}]
    (content / "digits.onnx").write_bytes((DIGITS / "digits.onnx").read_bytes())
    for name in names:
        for branch, scale in SCALES.items():
            write_model(content / branch, name, {1: model(scale)})
            file = f"{branch}/{name}/1/model.onnx"
            pushes.append({"repo_id": f"team/{name}", "branch": branch, "files": {"model.onnx": file}})
    (content / PUSHES).write_text(json.dumps(pushes))


def kubectl(*words: str, check: bool = True) -> str:
    """Run kubectl as the admin."""
    done = subprocess.run(
        ["kubectl", f"--kubeconfig={ADMIN}", *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout
