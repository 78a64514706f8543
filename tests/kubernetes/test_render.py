"""Whole targets: by the API's schemas, by rules of our own, and by kustomize where it is installed."""

import copy
import json
import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.kubernetes.projects import DIGEST, MODELS_IMAGE, load, target, write_project
from tests.kubernetes.semantic_rules import problems
from tritonops.errors import InputError, PartialFailureError, UnreadableFileError
from tritonops.kubernetes.manifests.versions import parse_version
from tritonops.kubernetes.render import render, stream, write
from tritonops.kubernetes.targets.target import Autoscaling, Downloads, Key, Secrets, Toleration
from tritonops.models.lock import lock_models

CURRENT = ("1.36", "1.37")
WITHOUT_SCHEMA = {"ScaledObject", "PodMonitor"}
KEDA = Autoscaling("keda", 1, 4, prometheus="http://prometheus.monitoring:9090")
ALL: dict[str, Any] = {
    "gpu_resource": "nvidia.com/mig-1g.10gb",
    "gpus": 2,
    "cpu": "500m",
    "memory": "8Gi",
    "claim": "models",
    "http": True,
    "client_namespaces": ("web", "jobs"),
    "pod_monitor": True,
    "longest_request": 120,
    "start_seconds": 7,
    "secrets": Secrets(Key("hub", "HF_TOKEN"), Key("triton", "token"), ("registry",)),
    "downloads": Downloads("https://hub.lan", "http://proxy:3128", "http://proxy:3128", "hub.lan", Key("ca", "ca.crt")),
    "node_selector": {"nvidia.com/gpu.product": "NVIDIA-L4"},
    "tolerations": (Toleration("nvidia.com/gpu", "Exists", effect="NoExecute", seconds=60),),
    "labels": {"example.com/team": "vision", "cost": ""},
}
TARGETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "on CPU": {"gpus": 0},
    "local images": {"image": "localhost/triton-cpu", "init_image": "localhost/tritonops:1"},
    "one with a spare": {"replicas": 1, "spare": True},
    "one without": {"replicas": 1},
    "on nodes": {"host_path": "/var/lib/tritonops"},
    "an image of models": {"models_image": MODELS_IMAGE},
    "KEDA": {"replicas": 1, "autoscaling": KEDA, "spare": True},
    "HPA": {"replicas": 1, "autoscaling": Autoscaling("hpa", 2, 4)},
    "everything": ALL,
    "a long name": {"name": "a" * 36, "autoscaling": KEDA, "spare": True},
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return write_project(tmp_path_factory.mktemp("checkout"))


def rendered(checkout, version="1.34", **options):
    return render(checkout, target(**options), parse_version(version), allow_downtime=True)


def of_kind(found, kind):
    return [each for each in found.objects if each["kind"] == kind]


def invalid(objects, version):
    """List what the schemas of a version refuse; custom resources have none."""
    found = []
    for each in objects:
        if each["kind"] not in WITHOUT_SCHEMA:
            try:
                assert kubernetes_validate.validate(each, version, strict=True) == version
            except kubernetes_validate.ValidationError as exc:
                found.append(f"{each['kind']}: {'.'.join(map(str, exc.path))}: {exc.message}")
    return found


@pytest.mark.parametrize("version", [*CURRENT, "1.25", "1.30"])
@pytest.mark.parametrize("name", TARGETS)
def test_every_object_is_what_the_api_of_the_version_knows(checkout, name, version):
    found = rendered(checkout, version, **TARGETS[name])
    assert invalid(found.objects, version) == []
    assert problems(found.objects, found.release.expected) == []
    assert [*yaml.safe_load_all(stream([found]))] == json.loads(json.dumps(found.objects))


@pytest.mark.parametrize(("version", "has_image"), [("1.34", False), ("1.35", True)])
@pytest.mark.parametrize("more", [{}, {"secrets": ALL["secrets"], "downloads": ALL["downloads"]}])
def test_models_of_an_image_are_mounted_from_the_first_version_that_can(checkout, version, has_image, more):
    found = rendered(checkout, version, models_image=MODELS_IMAGE, **more)
    assert invalid(found.objects, version) == []
    assert problems(found.objects, found.release.expected) == []
    assert str(of_kind(found, "Deployment")).count(MODELS_IMAGE) == has_image
    assert any(path.startswith("sources/") for path in found.release.files) == (not has_image)
    line = "the image volume of models_image, in whose place pods download their models (from Kubernetes 1.35)"
    assert found.left_out == (() if has_image else (line,))


def test_a_version_without_image_volumes_gets_what_it_gets_without_the_key(checkout):
    plain, left_out = rendered(checkout), rendered(checkout, models_image=MODELS_IMAGE)
    text = stream([left_out]).replace(left_out.release.digest, plain.release.digest)
    assert text.replace(left_out.release.digest[:10], plain.release.digest[:10]) == stream([plain])


@pytest.mark.parametrize("version", ["1.34", "1.35"])
def test_another_image_of_models_is_another_release_whether_it_is_mounted_or_not(checkout, version):
    images = (None, MODELS_IMAGE, MODELS_IMAGE.replace("0123", "4567"))
    assert len({rendered(checkout, version, models_image=image).release.digest for image in images}) == 3


def test_the_schemas_refuse_a_misspelt_field_so_they_are_strict(checkout):
    objects = copy.deepcopy(rendered(checkout).objects)
    next(each for each in objects if each["kind"] == "Deployment")["spec"]["replicsa"] = 2
    assert len(invalid(objects, CURRENT[0])) == 1


def test_the_same_checkout_gives_the_same_bytes(checkout, tmp_path):
    for folder in ("one", "two"):
        write(rendered(checkout, **ALL), tmp_path / folder)
    files = {path.name: path.read_bytes() for path in (tmp_path / "one/production").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two/production").iterdir()}
    assert len(files) == len(rendered(checkout, **ALL).objects) + 1


def test_comments_and_the_order_of_models_toml_start_no_rollout(tmp_path):
    before = rendered(write_project(tmp_path))
    path = tmp_path / "models.toml"
    entries = path.read_text().strip().split("\n\n")
    path.write_text("# ours\n" + "\n\n".join(reversed(entries)))
    assert rendered(load(tmp_path)).objects == before.objects


def test_a_change_of_lock_configs_or_images_is_another_release(tmp_path):
    digests = [rendered(write_project(tmp_path)).release.digest]
    config = tmp_path / "triton-config/alpha/gpu.pbtxt"
    config.write_text(f"{config.read_text()}# changed\n")
    digests.append(rendered(load(tmp_path)).release.digest)
    digests.append(rendered(load(tmp_path), image=f"triton@{DIGEST}").release.digest)
    digests.append(rendered(load(tmp_path), init_image=f"init@{DIGEST}").release.digest)
    (tmp_path / "sources/alpha-1.onnx").write_bytes((tmp_path / "sources/beta-2.onnx").read_bytes())
    lock_models(load(tmp_path), include=["alpha"])
    digests.append(rendered(load(tmp_path)).release.digest)
    assert len(set(digests)) == 5
    same = [rendered(load(tmp_path), **options).release.digest for options in ({"replicas": 3}, {"memory": "8Gi"})]
    assert {*same} == {digests[-1]}


def test_targets_of_one_namespace_share_no_name_and_select_no_pod_of_each_other(checkout):
    names = ("a", "a-triton", "a-triton-pods", "a-triton-files-0123456789-1", "triton")
    found = {name: rendered(checkout, name=name, autoscaling=KEDA, pod_monitor=True, spare=True) for name in names}
    identities = [(each["kind"], each["metadata"]["name"]) for one in found.values() for each in one.objects]
    assert len(set(identities)) == len(identities)
    selectors = [str(each["spec"]["selector"]) for one in found.values() for each in of_kind(one, "Deployment")]
    assert len(set(selectors)) == len(names)


def test_what_a_version_does_not_know_is_left_out_and_named(checkout):
    found = rendered(checkout, "1.20", replicas=1, autoscaling=Autoscaling("hpa", 2, 4))
    assert {each["kind"] for each in found.objects} == {
        *("ServiceAccount", "ConfigMap", "Service", "NetworkPolicy", "Deployment")
    }
    words = ("autoscaling/v2", "kubernetes.io/metadata.name", "sleep action of preStop", "policy/v1")
    assert [any(word in line for line in found.left_out) for word in words] == [True] * 4
    assert of_kind(found, "Deployment")[0]["spec"]["replicas"] == 2
    assert rendered(checkout, "1.34", replicas=2).left_out == ()
    assert "unhealthyPodEvictionPolicy" in str(rendered(checkout, "v1.26.3").left_out)


def test_one_replica_without_a_spare_is_refused_unless_downtime_is_allowed(checkout):
    for options in ({"replicas": 1}, {"replicas": 1, "autoscaling": KEDA}):
        with pytest.raises(InputError, match="ends the only pod before the next one serves"):
            render(checkout, target(**options), parse_version("1.34"))
    strategies = [
        of_kind(rendered(checkout, **options), "Deployment")[0]["spec"]["strategy"]["type"]
        for options in ({"replicas": 1}, {"replicas": 1, "autoscaling": KEDA})
    ]
    assert strategies == ["Recreate", "RollingUpdate"]


def test_a_target_gets_only_the_versions_that_are_for_it_or_its_groups(tmp_path):
    entries = {"alpha": 'hosts = ["eu"]', "beta": 'hosts = ["gpu-01", "us"]'}
    checkout = write_project(tmp_path, entries=entries)
    found = rendered(checkout, groups=("eu",))
    assert found.release.expected == (("alpha", 1),)
    assert not any("beta" in path for path in found.release.files)
    assert "hosts" not in found.release.files["models.toml"].decode()
    with pytest.raises(InputError, match="no model for the target production"):
        rendered(checkout)


def test_files_that_fill_several_config_maps_are_split_and_all_there(tmp_path):
    checkout = write_project(tmp_path, {f"model-{number}": (1,) for number in range(12)})
    for number in range(12):
        config = tmp_path / f"triton-config/model-{number}/gpu.pbtxt"
        config.write_text(f"{config.read_text()}# {'x' * 190_000}\n")
    found = rendered(checkout)
    assert found.files_maps == len(of_kind(found, "ConfigMap")) - 1 == 3
    assert problems(found.objects, found.release.expected) == []


def test_what_cannot_be_rendered_is_named_for_each_model(tmp_path):
    write_project(tmp_path)
    (tmp_path / "triton-config/alpha/gpu.pbtxt").unlink()
    config = tmp_path / "triton-config/beta/gpu.pbtxt"
    config.write_text(f"{config.read_text()}version_policy: {{ specific: {{ versions: [7] }} }}\n")
    with pytest.raises(PartialFailureError) as caught:
        rendered(load(tmp_path))
    assert caught.value.exit_code == 2
    assert "there is no" in caught.value.failures["alpha"]
    assert "serves none of 1, 2" in caught.value.failures["beta"]


@pytest.mark.parametrize("patched", [False, True])
def test_the_folder_is_a_kustomization_that_gives_the_same_objects(checkout, tmp_path, patched):
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl")
    patch = tmp_path / "more.yaml"
    patch.write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: production-triton\n  namespace: triton\n"
        "spec:\n  template:\n    spec:\n      priorityClassName: high\n"
    )
    found = rendered(checkout, **ALL, patch=patch if patched else None)
    folder, _ = write(found, tmp_path)
    built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert built.stderr == ""
    expected = json.loads(json.dumps(found.objects))
    if patched:
        pod = next(each for each in expected if each["kind"] == "Deployment")["spec"]["template"]["spec"]
        pod["priorityClassName"] = "high"
    assert sorted(yaml.safe_load_all(built.stdout), key=identity) == sorted(expected, key=identity)


def identity(manifest):
    return manifest["kind"], manifest["metadata"]["name"]


def test_a_stream_would_lack_a_patch_so_it_is_refused(checkout, tmp_path):
    with pytest.raises(InputError, match="has a patch, which a stream would lack"):
        stream([rendered(checkout, patch=tmp_path / "patch.yaml")])
    with pytest.raises(UnreadableFileError):
        write(rendered(checkout, patch=tmp_path / "gone.yaml"), tmp_path)


def test_no_secret_of_this_machine_gets_into_a_manifest(tmp_path):
    write_project(tmp_path)
    project = load(tmp_path, HF_TOKEN="hf_secret", TRITON_TOKEN="secret-too")
    text = stream([rendered(project, **ALL)])
    assert "hf_secret" not in text
    assert "secret-too" not in text
    assert "secretKeyRef" in text


FAULTS: dict[str, Any] = {
    "a selector of nothing": lambda pod, objects: objects["Service"]["spec"]["selector"].update(app="x"),
    "a port of nothing": lambda pod, objects: objects["Service"]["spec"]["ports"][0].update(port=9000),
    "an open policy": lambda pod, objects: objects["NetworkPolicy"]["spec"]["ingress"][0].pop("from"),
    "half a GPU": lambda pod, objects: pod["containers"][0]["resources"]["limits"].update({"nvidia.com/gpu": 0.5}),
    "a tag": lambda pod, objects: pod["containers"][0].update(image="nvcr.io/nvidia/tritonserver:26.07-py3"),
    "channels outlive the pod": lambda pod, objects: pod["containers"][0]["lifecycle"]["preStop"].update(
        sleep={"seconds": 12}
    ),
    "killed early": lambda pod, objects: pod.update(terminationGracePeriodSeconds=45),
    "no such volume": lambda pod, objects: pod["volumes"].pop(),
    "a token in plain text": lambda pod, objects: pod["containers"][0]["env"].append(
        {"name": "TRITON_TOKEN", "value": "secret"}
    ),
    "files of another map": lambda pod, objects: pod["volumes"][1]["projected"]["sources"].pop(),
    "another release": lambda pod, objects: pod["containers"][0]["volumeMounts"][0].update(subPath="releases/x/triton"),
    "two masters of the replicas": lambda pod, objects: objects["Deployment"]["spec"].pop("replicas"),
    "root": lambda pod, objects: pod["securityContext"].pop("runAsNonRoot"),
    "a name too long": lambda pod, objects: objects["Service"]["metadata"].update(name="x" * 64),
    "no probe": lambda pod, objects: pod["containers"][0]["startupProbe"]["exec"].update(command=["true"]),
    "a version that nobody asks for": lambda pod, objects: objects["ConfigMap"]["data"].update(
        {"started.sh": "models/alpha/versions/1\n"}
    ),
}
"""Each is one change of a good target; `objects` has the last object of each kind."""


IMAGE_FAULTS: dict[str, Any] = {
    "an image by a tag": lambda pod: pod["volumes"][0]["image"].update(reference="registry.example.com/models:7"),
    "Triton writes to an image": lambda pod: pod["containers"][0]["volumeMounts"][0].pop("readOnly"),
    "the init container writes to an image": lambda pod: pod["initContainers"][0]["volumeMounts"][0].pop("readOnly"),
    "a part of an image": lambda pod: pod["containers"][0]["volumeMounts"][0].update(subPath="triton"),
    "another folder verified": lambda pod: pod["initContainers"][0]["volumeMounts"][0].update(mountPath="/volume"),
    "a download": lambda pod: pod["initContainers"][0].update(
        command=[word.replace("--models=/models", "--volume=/models") for word in pod["initContainers"][0]["command"]]
    ),
    "a useless token": lambda pod: pod["initContainers"][0]["env"].append({"name": "HF_TOKEN", "valueFrom": {}}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_rules_see_what_the_schemas_may_not(checkout, fault):
    found = rendered(checkout)
    objects = copy.deepcopy(found.objects)
    by_kind = {each["kind"]: each for each in objects}
    FAULTS[fault](by_kind["Deployment"]["spec"]["template"]["spec"], by_kind)
    assert problems(objects, found.release.expected) != []


@pytest.mark.parametrize("fault", IMAGE_FAULTS)
def test_the_rules_see_what_is_wrong_with_an_image_of_models(checkout, fault):
    found = rendered(checkout, "1.35", models_image=MODELS_IMAGE)
    objects = copy.deepcopy(found.objects)
    IMAGE_FAULTS[fault](next(each for each in objects if each["kind"] == "Deployment")["spec"]["template"]["spec"])
    assert len(problems(objects, found.release.expected)) == 1
