"""What is wrong with the objects of one target, where the API's schemas see nothing: found by reading them alone."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tritonops.kubernetes.manifests.names import Manifest

SECONDS_FOR_ENDPOINTS = 5
MAX_CONFIG_MAP = 1_048_576
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def problems(objects: Sequence[Manifest], expected: Sequence[tuple[str, int]]) -> list[str]:
    """List what is wrong; `expected` are the versions of models that have to be served."""
    found = _Objects(objects)
    rules = (
        *(_names, _selectors, _ports, _images, _gpus, _end, _volumes, _secrets, _config_maps, _scaling, _security),
        *(_release, _strategy),
    )
    return [problem for rule in rules for problem in rule(found)] + [*_startup(found, expected)]


class _Objects:
    def __init__(self, objects: Sequence[Manifest]) -> None:
        self.all = objects
        self.maps = {each["metadata"]["name"]: each for each in objects if each["kind"] == "ConfigMap"}
        (self.deployment,) = (each for each in objects if each["kind"] == "Deployment")
        self.template = self.deployment["spec"]["template"]
        self.pod = self.template["spec"]
        (self.prepare,) = self.pod["initContainers"]
        (self.triton,) = self.pod["containers"]
        self.containers = (self.prepare, self.triton)

    def of(self, kind: str) -> list[Manifest]:
        return [each for each in self.all if each["kind"] == kind]

    def flag(self, name: str) -> str:
        """The value of an option of Triton."""
        return str(next(word.partition("=")[2] for word in self.triton["args"] if word.startswith(f"{name}=")))


def _names(found: _Objects) -> Iterator[str]:
    namespaces = {each["metadata"]["namespace"] for each in found.all}
    if len(namespaces) != 1:
        yield f"several namespaces: {namespaces}"
    for each in found.all:
        name = each["metadata"]["name"]
        if not _LABEL.fullmatch(name):
            yield f"{each['kind']} {name}: no name of at most 63 characters"
    identities = [(each["kind"], each["metadata"]["name"]) for each in found.all]
    if len(set(identities)) < len(identities):
        yield "two objects have one name"
    # The name of a pod is cut where the Deployment's is longer than 46, and the query for metrics tells pods by it.
    if len(found.deployment["metadata"]["name"]) > 46:
        yield "names of pods would be cut"
    for each in found.all:
        for key, value in each["metadata"]["labels"].items():
            if len(value) > 63 or len(key.rpartition("/")[2]) > 63:
                yield f"label {key} is too long"


def _selectors(found: _Objects) -> Iterator[str]:
    labels = found.template["metadata"]["labels"].items()
    selectors = {
        "Deployment": [found.deployment["spec"]["selector"]["matchLabels"]],
        "Service": [each["spec"]["selector"] for each in found.of("Service")],
        "NetworkPolicy": [each["spec"]["podSelector"]["matchLabels"] for each in found.of("NetworkPolicy")],
        "PodDisruptionBudget": [each["spec"]["selector"]["matchLabels"] for each in found.of("PodDisruptionBudget")],
        "PodMonitor": [each["spec"]["selector"]["matchLabels"] for each in found.of("PodMonitor")],
    }
    for kind, each in selectors.items():
        for selector in each:
            if not selector or not selector.items() <= labels:
                yield f"{kind}: the selector does not select the pods"
    if len({str(sorted(selector.items())) for each in selectors.values() for selector in each}) != 1:
        yield "objects select different pods"


def _ports(found: _Objects) -> Iterator[str]:
    ports = {each["name"]: each["containerPort"] for each in found.triton["ports"]}
    for service in found.of("Service"):
        for port in service["spec"]["ports"]:
            if ports.get(port["targetPort"]) != port["port"]:
                yield f"Service: port {port} is none of the container"
    for policy in found.of("NetworkPolicy"):
        for rule in policy["spec"]["ingress"]:
            if not rule.get("from") or not rule.get("ports"):
                yield "NetworkPolicy: a rule for everybody, or for every port"
            for port in rule.get("ports", ()):
                if port["port"] not in ports.values():
                    yield f"NetworkPolicy: port {port['port']} is none of the container"
    for name in ("readinessProbe", "livenessProbe"):
        if found.triton[name]["httpGet"]["port"] not in ports:
            yield f"{name}: its port is none of the container"
    for monitor in found.of("PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            if endpoint["port"] not in ports:
                yield "PodMonitor: its port is none of the container"


def _images(found: _Objects) -> Iterator[str]:
    for container in found.containers:
        image = container["image"]
        yield from _without_digest(image)
    for volume in found.pod["volumes"]:
        if "image" in volume:
            yield from _without_digest(volume["image"]["reference"])


def _without_digest(image: str) -> Iterator[str]:
    if not re.search(r"@sha256:[0-9a-f]{64}$", image) and not image.startswith("localhost/"):
        yield f"image {image} has no digest"


def _gpus(found: _Objects) -> Iterator[str]:
    for container in found.containers:
        for part in ("limits", "requests"):
            for name, value in container.get("resources", {}).get(part, {}).items():
                is_whole = isinstance(value, str) and re.fullmatch(r"[1-9]\d*", value)
                if "/" in name and (not is_whole or part == "requests"):
                    yield f"{part}: {name} is no whole number of GPUs among the limits"
    if any("/" in name for name in found.prepare.get("resources", {}).get("limits", {})):
        yield "the init container has GPUs"


def _end(found: _Objects) -> Iterator[str]:
    age = int(found.flag("--grpc-max-connection-age")) / 1000
    grace = int(found.flag("--grpc-max-connection-age-grace")) / 1000
    action = found.triton["lifecycle"]["preStop"]
    wait = action["sleep"]["seconds"] if "sleep" in action else int(action["exec"]["command"][1])
    if age + grace >= wait - SECONDS_FOR_ENDPOINTS:
        yield f"channels may live {age + grace} s, and the pod goes after {wait} s"
    if wait + int(found.flag("--exit-timeout-secs")) >= found.pod["terminationGracePeriodSeconds"]:
        yield "the pod is killed before Triton has ended"


def _volumes(found: _Objects) -> Iterator[str]:
    volumes = {each["name"]: each for each in found.pod["volumes"]}
    mounted = {mount["name"] for container in found.containers for mount in container["volumeMounts"]}
    if mounted != volumes.keys():
        yield f"volumes and mounts differ: {sorted(mounted ^ volumes.keys())}"
    (release,) = (each["projected"]["sources"] for each in volumes.values() if "projected" in each)
    paths = [item["path"] for source in release for item in source["configMap"]["items"]]
    if len(set(paths)) < len(paths):
        yield "two files of the release have one path"
    for source in release:
        rendered = found.maps.get(source["configMap"]["name"], {})
        keys = {**rendered.get("data", {}), **rendered.get("binaryData", {})}.keys()
        if keys != {item["key"] for item in source["configMap"]["items"]}:
            yield f"the items of {source['configMap']['name']} are not its keys"
    mapped = {source["configMap"]["name"] for source in release} | {volumes["scripts"]["configMap"]["name"]}
    if mapped != found.maps.keys():
        yield f"pods do not have each ConfigMap, or have others: {sorted(mapped ^ found.maps.keys())}"


def _secrets(found: _Objects) -> Iterator[str]:
    if found.of("Secret"):
        yield "a Secret was rendered"
    for container in found.containers:
        for variable in container["env"]:
            if "TOKEN" in variable["name"] and "value" in variable:
                yield f"{variable['name']} has a value"


def _config_maps(found: _Objects) -> Iterator[str]:
    for name, each in found.maps.items():
        texts = sum(len(text.encode()) for text in each.get("data", {}).values())
        size = texts + sum(len(base64.b64decode(text)) for text in each.get("binaryData", {}).values())
        if size > MAX_CONFIG_MAP:
            yield f"{name} has {size} bytes"
        if not all(re.fullmatch(r"[-.\w]{1,253}", key, re.ASCII) for key in {**each.get("data", {})}):
            yield f"{name} has a key that is none"
        if not each.get("immutable"):
            yield f"{name} may be changed below a running pod"


def _scaling(found: _Objects) -> Iterator[str]:
    scalers = [*found.of("HorizontalPodAutoscaler"), *found.of("ScaledObject")]
    if bool(scalers) == ("replicas" in found.deployment["spec"]):
        yield "replicas are set by nobody, or by two"
    for each in scalers:
        if each["spec"]["scaleTargetRef"]["name"] != found.deployment["metadata"]["name"]:
            yield "the autoscaler scales something else"


def _security(found: _Objects) -> Iterator[str]:
    context = found.pod["securityContext"]
    if not context.get("runAsNonRoot") or not context.get("runAsUser"):
        yield "the pod may run as root"
    if found.pod.get("automountServiceAccountToken") is not False:
        yield "the pod has a token of the cluster's API"
    if found.pod["serviceAccountName"] not in {each["metadata"]["name"] for each in found.of("ServiceAccount")}:
        yield "there is no such ServiceAccount"
    for container in found.containers:
        rights = container["securityContext"]
        if rights.get("allowPrivilegeEscalation") is not False or not rights.get("readOnlyRootFilesystem"):
            yield f"{container['name']} may gain rights, or write to its image"
        if rights.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{container['name']} has capabilities"


def _release(found: _Objects) -> Iterator[str]:
    words = dict(word.partition("=")[::2] for word in found.prepare["command"])
    digest = words["--digest"]
    (volume,) = (each for each in found.pod["volumes"] if each["name"].startswith("models"))
    (models,) = (mount for mount in found.triton["volumeMounts"] if mount["name"] == volume["name"])
    (prepared,) = (mount for mount in found.prepare["volumeMounts"] if mount["name"] == volume["name"])
    if "image" in volume:
        yield from _image_volume(found, words.get("--models"), prepared, models)
    elif models.get("subPath") != f"releases/{digest}/triton" or words.get("--volume") != prepared["mountPath"]:
        yield "Triton reads another release than the init container prepares"
    if not models.get("readOnly"):
        yield "Triton may write to its models"
    if models["mountPath"] != found.flag("--model-repository"):
        yield "Triton's models are not mounted"
    if found.template["metadata"]["annotations"] != {"tritonops/release": digest}:
        yield "the pods name another release"


def _image_volume(found: _Objects, verified: str | None, prepared: Manifest, models: Manifest) -> Iterator[str]:
    """An image has the models: both containers have the same of it, and nothing is fetched."""
    if verified != prepared["mountPath"] or prepared.get("subPath") != models.get("subPath"):
        yield "Triton reads other models than the init container verifies"
    if not prepared.get("readOnly"):
        yield "the init container may write to an image"
    if any(variable["name"] != "HOME" for variable in found.prepare["env"]):
        yield "the init container has routes to sources, and needs none"


def _strategy(found: _Objects) -> Iterator[str]:
    strategy = found.deployment["spec"]["strategy"]
    rolling = strategy.get("rollingUpdate", {"maxSurge": 0, "maxUnavailable": 1})
    if (strategy["type"] == "RollingUpdate") != ("rollingUpdate" in strategy):
        yield "the strategy contradicts itself"
    if rolling["maxSurge"] + rolling["maxUnavailable"] != 1:
        yield "a rollout stands still, or moves several pods at once"
    spec = found.deployment["spec"]
    probe = found.triton["startupProbe"]
    if spec["progressDeadlineSeconds"] <= probe["failureThreshold"] * probe["periodSeconds"] + spec["minReadySeconds"]:
        yield "a rollout fails before a pod may have started"


def _startup(found: _Objects, expected: Sequence[tuple[str, int]]) -> Iterator[str]:
    command = found.triton["startupProbe"]["exec"]["command"]
    (mount,) = (each for each in found.triton["volumeMounts"] if each["name"] == "scripts")
    (volume,) = (each for each in found.pod["volumes"] if each["name"] == "scripts")
    data: Mapping[str, Any] = found.maps.get(volume["configMap"]["name"], {}).get("data", {})
    folder, _, name = command[-1].rpartition("/")
    if folder != mount["mountPath"] or name not in data:
        yield "the startup probe runs nothing"
        return
    asked = re.findall(r"^models/(.+)/versions/(\d+)$", data[name], re.MULTILINE)
    if not expected or [(model, int(version)) for model, version in asked] != [*expected]:
        yield "the startup probe does not ask for every version"
