"""kubernetes.toml: read, checked, and looked up by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tritonops.documents import MAX_TOML, abbreviate, parse_toml
from tritonops.errors import InputError, UnknownTargetError, near_misses
from tritonops.files import expand_home, read_text_if_present
from tritonops.kubernetes.targets import rules
from tritonops.kubernetes.targets.table import Table
from tritonops.kubernetes.targets.target import METRIC, Autoscaling, Downloads, Key, Secrets, Target, Toleration
from tritonops.models.catalog.lines import statement_line

_MOST_GPUS, _MOST_REPLICAS, _MOST_SECONDS, _LONGEST_REQUEST = 64, 1000, 86_400, 3600
_REPLICA_KEYS = {"replicas", "autoscaling"}
_VOLUME_KEYS = {"claim", "host_path"}
_REPLACED_BY_IMAGE = ("claim", "host_path", "init_sources")
"""Keys that a target with `models_image` has no use for."""
_KEYS = {
    *("context", "namespace", "image", "init_image", "groups", "gpus", "gpu_resource", "spare", "cpu", "memory"),
    *("shared_memory", "models_image", "init_sources", "start_seconds", "longest_request", "http", "client_namespaces"),
    *("monitoring_namespace", "pod_monitor", "secrets", "downloads", "node_selector", "tolerations", "labels", "patch"),
    *_REPLICA_KEYS,
    *_VOLUME_KEYS,
}
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True)
class Targets:
    """The targets of kubernetes.toml, in its order."""

    path: Path
    by_name: Mapping[str, Target]

    def select(self, name: str | None) -> list[Target]:
        """Find one target, or all without a name. Raises InputError, or UnknownTargetError for an unknown name."""
        if not self.by_name:
            problem = f"{self.path} has no targets" if self.path.exists() else f"there is no {self.path}"
            raise InputError(problem, hint="docs/kubernetes.md has an example, and each key.")
        if name is None:
            return [*self.by_name.values()]
        if name not in self.by_name:
            raise UnknownTargetError(
                f"{self.path} has no target {name!r}", hint=near_misses(name, self.by_name, "targets")
            )
        return [self.by_name[name]]


def load_targets(path: Path) -> Targets:
    """Read kubernetes.toml; a missing file has no targets. Raises InputError that names target, key and line."""
    text = read_text_if_present(path, MAX_TOML)
    document = {} if text is None else parse_toml(text, path)
    text = text or ""
    for key in document:
        if key != "targets":
            problem = f"{path}, line {statement_line(text, (key,))}: unknown key {abbreviate(key)}"
            raise InputError(problem, hint=near_misses(key, {"targets"}, "keys"))
    found = document.get("targets", {})
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        line = statement_line(text, ("targets",))
        raise InputError(f"{path}, line {line}: expected one table for each target: [targets.production]")
    return Targets(path, {name: _target(Table(path, text, ("targets", name), each)) for name, each in found.items()})


def _target(table: Table) -> Target:
    name = table.at[-1]
    try:
        rules.target_name(name)
    except ValueError as exc:
        raise table.error(str(exc)) from exc
    table.refuse_unknown_keys(_KEYS)
    _refuse_both(table, _REPLICA_KEYS)
    _refuse_both(table, _VOLUME_KEYS)
    for key in _REPLACED_BY_IMAGE:
        _refuse_both(table, {"models_image", key})
    gpus = table.number("gpus", 1, at_least=0, at_most=_MOST_GPUS)
    if not gpus and "gpu_resource" in table.values:
        raise table.error("conflicts with gpus = 0", "gpu_resource")
    return Target(
        name=name,
        context=table.required("context", rules.context),
        namespace=table.required("namespace", rules.namespace),
        image=table.required("image", rules.triton_image),
        init_image=table.required("init_image", rules.image),
        groups=table.texts("groups", rules.group),
        gpus=gpus,
        gpu_resource=table.text("gpu_resource", rules.gpu_resource, "nvidia.com/gpu"),
        replicas=table.number("replicas", 1, at_least=1, at_most=_MOST_REPLICAS),
        autoscaling=_autoscaling(table.table("autoscaling")) if "autoscaling" in table.values else None,
        spare=table.boolean("spare"),
        cpu=table.text("cpu", rules.cpu),
        memory=table.text("memory", rules.quantity),
        shared_memory=table.text("shared_memory", rules.quantity, "1Gi"),
        claim=table.text("claim", rules.object_name),
        host_path=table.text("host_path", rules.absolute_path),
        models_image=table.text("models_image", rules.image),
        init_sources=table.text("init_sources", rules.absolute_path),
        start_seconds=table.number("start_seconds", at_least=1, at_most=_MOST_SECONDS),
        longest_request=table.number("longest_request", 5, at_least=1, at_most=_LONGEST_REQUEST),
        http=table.boolean("http"),
        client_namespaces=table.texts("client_namespaces", rules.namespace),
        monitoring_namespace=table.text("monitoring_namespace", rules.namespace, "monitoring"),
        pod_monitor=table.boolean("pod_monitor"),
        secrets=_secrets(table.table("secrets")),
        downloads=_downloads(table.table("downloads")),
        node_selector=table.texts_by_key("node_selector", rules.label_key, rules.label_value),
        tolerations=tuple(_toleration(each) for each in table.tables("tolerations")),
        labels=table.texts_by_key("labels", rules.own_label_key, rules.label_value),
        patch=_patch(table),
    )


def _refuse_both(table: Table, keys: set[str]) -> None:
    given = [key for key in table.values if key in keys]
    if len(given) > 1:
        raise table.error(f"conflicts with {given[0]}", given[1])


def _autoscaling(table: Table) -> Autoscaling:
    table.refuse_unknown_keys({"by", "min", "max", "prometheus", "metric"})
    by = table.choice("by", ("keda", "hpa"))
    if by is None:
        raise table.error('by is missing: "keda" or "hpa"')
    fewest = table.number("min", 1, at_least=1, at_most=_MOST_REPLICAS)
    most = table.number("max", at_least=1, at_most=_MOST_REPLICAS)
    if most is None:
        raise table.error("max is missing")
    if most <= fewest:
        raise table.error(f"expected more than min, which is {fewest}, got {most}", "max")
    for key, owner in (("prometheus", "keda"), ("metric", "hpa")):
        if key in table.values and by != owner:
            raise table.error(f'has no use with by = "{by}"', key)
    if by == "hpa":
        return Autoscaling("hpa", fewest, most, metric=table.text("metric", rules.metric, METRIC))
    return Autoscaling("keda", fewest, most, prometheus=table.required("prometheus", rules.server))


def _secrets(table: Table) -> Secrets:
    table.refuse_unknown_keys({"HF_TOKEN", "TRITON_TOKEN", "image_pull"})
    return Secrets(
        hf_token=_key(table, "HF_TOKEN", "HF_TOKEN"),
        triton_token=_key(table, "TRITON_TOKEN", "TRITON_TOKEN"),
        image_pull=table.texts("image_pull", rules.object_name),
    )


def _downloads(table: Table) -> Downloads:
    table.refuse_unknown_keys({"HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ca"})
    return Downloads(
        hf_endpoint=table.text("HF_ENDPOINT", rules.server),
        https_proxy=table.text("HTTPS_PROXY", rules.server),
        http_proxy=table.text("HTTP_PROXY", rules.server),
        no_proxy=table.text("NO_PROXY", rules.plain),
        ca=_key(table, "ca", "ca.crt"),
    )


def _key(table: Table, key: str, default: str) -> Key | None:
    """Read NAME or NAME/KEY."""

    def check(value: str) -> str:
        name, slash, data_key = value.partition("/")
        rules.object_name(name)
        return f"{name}/{rules.data_key(data_key) if slash else default}"

    value = table.text(key, check)
    return Key(*value.split("/")) if value else None


def _toleration(table: Table) -> Toleration:
    table.refuse_unknown_keys({"key", "operator", "value", "effect", "tolerationSeconds"})
    made = Toleration(
        key=table.text("key", rules.label_key),
        operator=table.choice("operator", ("Exists", "Equal")),
        value=table.text("value", rules.label_value),
        effect=table.choice("effect", _EFFECTS),
        seconds=table.number("tolerationSeconds", at_least=0, at_most=_MOST_SECONDS),
    )
    if made.operator == "Exists" and made.value is not None:
        raise table.error('has no use with operator = "Exists"', "value")
    if made.operator != "Exists" and made.key is None:
        raise table.error('key is missing; without one the operator is "Exists"')
    if made.seconds is not None and made.effect != "NoExecute":
        raise table.error('has a use with effect = "NoExecute" only', "tolerationSeconds")
    return made


def _patch(table: Table) -> Path | None:
    name = table.text("patch", rules.file)
    if name is None:
        return None
    try:
        path = table.path.parent / expand_home(name)
    except ValueError as exc:
        raise table.error(str(exc), "patch") from exc
    if not path.is_file():
        raise table.error(f"there is no file {path}", "patch")
    return path
