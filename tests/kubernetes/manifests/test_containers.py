"""The containers of a pod, by the settings of their target."""

from typing import Any

import pytest

from tests.kubernetes.projects import IMAGE, INIT_IMAGE, MODELS_IMAGE, target
from tritonops.kubernetes.manifests.containers import init_container, triton_container
from tritonops.kubernetes.manifests.timing import Timing
from tritonops.kubernetes.manifests.versions import parse_version
from tritonops.kubernetes.release.release import Release
from tritonops.kubernetes.targets.target import Downloads, Key, Secrets

RELEASE = Release({}, (("alpha", 1),), (IMAGE, INIT_IMAGE), 0)
IMAGE_RELEASE = Release({}, (("alpha", 1),), (IMAGE, INIT_IMAGE, MODELS_IMAGE), 0, MODELS_IMAGE)


def triton(version="1.34", release=RELEASE, **options):
    found = target(**options)
    timing = Timing.of(0, start=None, longest_request=found.longest_request)
    return triton_container(found, release, timing, parse_version(version))


def environment(container):
    return {each["name"]: each.get("value") or each["valueFrom"]["secretKeyRef"] for each in container["env"]}


def test_a_pod_serves_its_release_or_is_not_ready():
    assert {
        *("--model-control-mode=none", "--exit-on-error=false", "--disable-auto-complete-config"),
        *("--strict-readiness=true", "--model-repository=/models"),
    } <= {*triton()["args"]}
    probes = {name: triton()[f"{name}Probe"] for name in ("readiness", "liveness")}
    assert [probe["httpGet"]["path"] for probe in probes.values()] == ["/v2/health/ready", "/v2/health/live"]
    times = [
        [probe[f"{name}"] for name in ("periodSeconds", "failureThreshold", "timeoutSeconds")]
        for probe in probes.values()
    ]
    assert times == [[5, 1, 2], [10, 6, 5]]


@pytest.mark.parametrize(
    ("version", "action"),
    [("1.34", {"sleep": {"seconds": 15}}), ("1.33", {"exec": {"command": ["sleep", "15"]}})],
)
def test_the_wait_before_the_end_is_what_the_version_knows(version, action):
    assert triton(version)["lifecycle"] == {"preStop": action}


def test_a_long_request_lengthens_the_end_of_its_channel_and_of_its_pod():
    found = triton(longest_request=120)
    assert "--grpc-max-connection-age-grace=120000" in found["args"]
    assert "--exit-timeout-secs=120" in found["args"]
    assert found["lifecycle"]["preStop"]["sleep"]["seconds"] == 128


def test_whole_gpus_are_the_limit_of_triton_alone():
    options: dict[str, Any] = {"gpus": 2, "gpu_resource": "nvidia.com/mig-1g.10gb", "cpu": "4", "memory": "8Gi"}
    assert triton(**options)["resources"] == {
        "requests": {"cpu": "4", "memory": "8Gi"},
        "limits": {"memory": "8Gi", "nvidia.com/mig-1g.10gb": "2"},
    }
    assert init_container(target(**options), RELEASE)["resources"] == {
        "requests": {"cpu": "4", "memory": "8Gi"},
        "limits": {"memory": "8Gi"},
    }
    assert "resources" not in triton(gpus=0)


def test_tokens_are_references_each_for_the_container_that_needs_it():
    secrets = Secrets(Key("hub", "HF_TOKEN"), Key("triton", "token"))
    assert environment(triton(secrets=secrets)) == {"HOME": "/tmp", "TRITON_TOKEN": {"name": "triton", "key": "token"}}
    assert environment(init_container(target(secrets=secrets), RELEASE)) == {
        "HOME": "/tmp",
        "HF_TOKEN": {"name": "hub", "key": "HF_TOKEN"},
    }


def test_the_init_container_has_the_routes_to_the_sources():
    downloads = Downloads("https://hub.lan", "http://p:1", "http://p:2", "hub.lan", Key("ca", "x.crt"))
    assert environment(init_container(target(downloads=downloads), RELEASE)) == {
        "HOME": "/tmp",
        "HF_ENDPOINT": "https://hub.lan",
        "HTTPS_PROXY": "http://p:1",
        "HTTP_PROXY": "http://p:2",
        "NO_PROXY": "hub.lan",
        "SSL_CERT_FILE": "/etc/tritonops-ca/x.crt",
    }


def test_models_of_an_image_are_verified_where_triton_reads_them_and_nothing_is_fetched():
    secrets = Secrets(hf_token=Key("hub", "HF_TOKEN"))
    prepare = init_container(
        target(secrets=secrets, downloads=Downloads("https://hub.lan", ca=Key("ca", "x.crt"))), IMAGE_RELEASE
    )
    mount = {"name": "models-image", "mountPath": "/models", "readOnly": True}
    assert prepare["volumeMounts"][0] == triton(release=IMAGE_RELEASE)["volumeMounts"][0] == mount
    assert [each["name"] for each in prepare["volumeMounts"]] == ["models-image", "release", "tmp"]
    assert "--models=/models" in prepare["command"]
    assert not any(word.startswith("--volume") for word in prepare["command"])
    assert environment(prepare) == {"HOME": "/tmp"}


def test_a_probe_of_thousands_of_versions_has_the_time_for_them():
    many = Release({}, tuple(("alpha", number) for number in range(1, 3001)), (IMAGE, INIT_IMAGE), 0)
    assert [triton(release=each)["startupProbe"]["timeoutSeconds"] for each in (RELEASE, many)] == [5, 15]
