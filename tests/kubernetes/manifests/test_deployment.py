"""The parts of a Deployment that depend on the target's settings."""

from dataclasses import replace

import pytest

from tests.kubernetes.projects import IMAGE, INIT_IMAGE, MODELS_IMAGE, target
from tritonops.errors import InputError
from tritonops.kubernetes.manifests.config_maps import release_maps
from tritonops.kubernetes.manifests.deployment import deployment, require_strategy
from tritonops.kubernetes.manifests.scripts import scripts
from tritonops.kubernetes.manifests.versions import parse_version
from tritonops.kubernetes.release.release import Release
from tritonops.kubernetes.targets.target import Autoscaling, Downloads, Key, Secrets, Toleration

RELEASE = Release({"models.toml": b""}, (("alpha", 1),), (IMAGE, INIT_IMAGE), 10_000_000_000)


def spec_of(*, is_scaled=False, release=RELEASE, **options):
    found = target(**options)
    programs = scripts(release.expected)
    maps = release_maps(found, release)
    made = deployment(found, release, maps, programs, parse_version("1.34"), is_scaled=is_scaled)
    return made["spec"]


def pod_of(**options):
    return spec_of(**options)["template"]["spec"]


@pytest.mark.parametrize(
    ("options", "strategy"),
    [
        ({"spare": True}, {"maxSurge": 1, "maxUnavailable": 0}),
        ({"spare": False}, {"maxSurge": 0, "maxUnavailable": 1}),
        ({"replicas": 1}, None),
        ({"replicas": 1, "spare": True}, {"maxSurge": 1, "maxUnavailable": 0}),
    ],
)
def test_a_rollout_adds_a_pod_first_where_there_is_room_for_it(options, strategy):
    found = spec_of(**options)["strategy"]
    assert found == ({"type": "RollingUpdate", "rollingUpdate": strategy} if strategy else {"type": "Recreate"})


@pytest.mark.parametrize("options", [{"replicas": 2}, {"replicas": 1, "spare": True}])
def test_a_rollout_without_downtime_is_allowed(options):
    require_strategy(target(**options), allow_downtime=False)


def test_a_rollout_with_downtime_has_to_be_allowed():
    require_strategy(target(replicas=1), allow_downtime=True)
    with pytest.raises(InputError) as caught:
        require_strategy(target(replicas=1), allow_downtime=False)
    assert "--allow-downtime" in str(caught.value.hint)


def test_the_budget_of_a_rollout_follows_the_bytes_of_the_models():
    found = spec_of()
    assert found["progressDeadlineSeconds"] == 200 + 60 + 120
    probe = found["template"]["spec"]["containers"][0]["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] == 260


def test_an_autoscaler_sets_the_replicas_alone():
    scaling = Autoscaling("hpa", 2, 4)
    assert "replicas" not in spec_of(autoscaling=scaling, is_scaled=True)
    assert spec_of(autoscaling=scaling)["replicas"] == 2


@pytest.mark.parametrize(
    ("options", "volume"),
    [
        ({}, {"name": "models", "emptyDir": {}}),
        ({"claim": "a"}, {"name": "models-claim", "persistentVolumeClaim": {"claimName": "a"}}),
        ({"host_path": "/srv"}, {"name": "models-node", "hostPath": {"path": "/srv", "type": "Directory"}}),
    ],
)
def test_models_are_in_the_volume_of_the_target(options, volume):
    """Each kind has a name of its own: a cluster refuses a volume that changes its kind."""
    assert pod_of(**options)["volumes"][0] == volume


def test_an_image_of_models_is_the_volume_and_needs_no_authorities():
    found = pod_of(release=replace(RELEASE, models_image=MODELS_IMAGE), downloads=Downloads(ca=Key("ca", "x.crt")))
    image = {"reference": MODELS_IMAGE, "pullPolicy": "IfNotPresent"}
    assert found["volumes"][0] == {"name": "models-image", "image": image}
    assert [each["name"] for each in found["volumes"]] == ["models-image", "release", "scripts", "shm", "tmp"]


def test_placement_is_passed_on_and_nothing_empty_is_written():
    assert not {"nodeSelector", "tolerations", "imagePullSecrets"} & pod_of().keys()
    found = pod_of(
        node_selector={"a": "b"},
        tolerations=(Toleration("gpu", "Exists", effect="NoExecute", seconds=0),),
        secrets=Secrets(image_pull=("registry",)),
    )
    assert found["nodeSelector"] == {"a": "b"}
    assert found["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}]
    assert found["imagePullSecrets"] == [{"name": "registry"}]


def test_authorities_are_mounted_where_their_variable_says():
    found = pod_of(downloads=Downloads(ca=Key("authorities", "bundle.pem")))
    (prepare,) = found["initContainers"]
    (path,) = (each["value"] for each in prepare["env"] if each["name"] == "SSL_CERT_FILE")
    (mount,) = (each for each in prepare["volumeMounts"] if each["name"] == "ca")
    (volume,) = (each for each in found["volumes"] if each["name"] == "ca")
    (item,) = volume["configMap"]["items"]
    assert path == f"{mount['mountPath']}/{item['path']}"
    assert volume["configMap"]["name"] == "authorities"
