"""kubernetes.toml: every key, its defaults, and errors that name file, line, target and key."""

import re

import pytest

from tests.kubernetes.projects import IMAGE, INIT_IMAGE, MODELS_IMAGE
from tests.paths import PROJECT
from tritonops.errors import InputError, UnknownTargetError
from tritonops.kubernetes.targets import parsing
from tritonops.kubernetes.targets.parsing import load_targets
from tritonops.kubernetes.targets.target import Autoscaling, Downloads, Key, Secrets, Target, Toleration

REQUIRED = f'context = "gpu-eu"\nnamespace = "triton"\nimage = "{IMAGE}"\ninit_image = "{INIT_IMAGE}"\n'
HEAD = f"[targets.production]\n{REQUIRED}"


@pytest.fixture
def read(tmp_path):
    """Read the text of a kubernetes.toml."""

    def read(text):
        path = tmp_path / "kubernetes.toml"
        path.write_text(text)
        return load_targets(path)

    return read


@pytest.fixture
def error(read, tmp_path):
    """The error of a text, behind the path of the file; and its hint."""

    def error(text):
        with pytest.raises(InputError) as caught:
            read(text)
        assert caught.value.exit_code == 2
        return str(caught.value).removeprefix(f"{tmp_path / 'kubernetes.toml'}, "), caught.value.hint or ""

    return error


def test_a_target_has_the_defaults_of_the_example(read):
    (target,) = read(HEAD).select(None)
    assert target == Target("production", "gpu-eu", "triton", IMAGE, INIT_IMAGE)
    assert (target.gpus, target.replicas, target.spare, target.variant) == (1, 1, False, "gpu")


def test_every_key_is_read(read, tmp_path):
    (tmp_path / "patch.yaml").touch()
    text = f"""{HEAD}
groups = ["eu"]
gpus = 2
gpu_resource = "nvidia.com/mig-1g.10gb"
spare = true
cpu = "500m"
memory = "8Gi"
shared_memory = "64Mi"
claim = "models"
init_sources = "/opt/sources/"
start_seconds = 600
longest_request = 20
http = true
client_namespaces = ["web"]
monitoring_namespace = "prometheus"
pod_monitor = true
node_selector = {{ "nvidia.com/gpu.product" = "NVIDIA-L4" }}
tolerations = [{{ key = "gpu", operator = "Equal", value = "yes", effect = "NoExecute", tolerationSeconds = 0 }}]
labels = {{ team = "vision" }}
patch = "patch.yaml"
secrets = {{ HF_TOKEN = "hub", TRITON_TOKEN = "triton/token", image_pull = ["registry"] }}
[targets.production.downloads]
HF_ENDPOINT = "https://hub.lan"
HTTPS_PROXY = "http://proxy:3128"
HTTP_PROXY = "http://proxy:3128"
NO_PROXY = "hub.lan,.cluster.local"
ca = "authorities"
[targets.production.autoscaling]
by = "keda"
min = 2
max = 4
prometheus = "http://prometheus:9090"
"""
    (target,) = read(text).select(None)
    assert target == Target(
        name="production",
        context="gpu-eu",
        namespace="triton",
        image=IMAGE,
        init_image=INIT_IMAGE,
        groups=("eu",),
        gpus=2,
        gpu_resource="nvidia.com/mig-1g.10gb",
        autoscaling=Autoscaling("keda", 2, 4, "http://prometheus:9090"),
        spare=True,
        cpu="500m",
        memory="8Gi",
        shared_memory="64Mi",
        claim="models",
        init_sources="/opt/sources",
        start_seconds=600,
        longest_request=20,
        http=True,
        client_namespaces=("web",),
        monitoring_namespace="prometheus",
        pod_monitor=True,
        secrets=Secrets(Key("hub", "HF_TOKEN"), Key("triton", "token"), ("registry",)),
        downloads=Downloads(
            "https://hub.lan",
            "http://proxy:3128",
            "http://proxy:3128",
            "hub.lan,.cluster.local",
            Key("authorities", "ca.crt"),
        ),
        node_selector={"nvidia.com/gpu.product": "NVIDIA-L4"},
        tolerations=(Toleration("gpu", "Equal", "yes", "NoExecute", 0),),
        labels={"team": "vision"},
        patch=tmp_path / "patch.yaml",
    )


CASES = {
    "misspelt": ("gpuss = 1", "line 6: production.gpuss: unknown key", "Did you mean 'gpus'"),
    "half a GPU": ("gpus = 0.5", "production.gpus: expected a whole number from 0 to 64, got 0.5", ""),
    "GPUs as a text": ('gpus = "1"', "production.gpus: expected a whole number from 0 to 64, got '1'", ""),
    "GPUs true": ("gpus = true", "production.gpus: expected a whole number from 0 to 64, got True", ""),
    "fewer than none": ("gpus = -1", "production.gpus: expected a whole number", ""),
    "a resource of no GPU": ('gpus = 0\ngpu_resource = "a/b"', "line 7: production.gpu_resource: conflicts", ""),
    "no resource": ('gpu_resource = "gpu"', "production.gpu_resource: 'gpu' is not a resource", ""),
    "no replicas": ("replicas = 0", "production.replicas: expected a whole number from 1", ""),
    "two masters": (
        "replicas = 2\nautoscaling = { by = 'hpa', max = 2 }",
        "line 7: production.autoscaling: conflicts with replicas",
        "",
    ),
    "two volumes": ('claim = "a"\nhost_path = "/a"', "line 7: production.host_path: conflicts with claim", ""),
    **{
        f"an image of models and {key}": (
            f'{key} = "{value}"\nmodels_image = "{MODELS_IMAGE}"',
            f"line 7: production.models_image: conflicts with {key}",
            "",
        )
        for key, value in (("claim", "a"), ("host_path", "/a"), ("init_sources", "/a"))
    },
    "a claim behind an image of models": (
        f'models_image = "{MODELS_IMAGE}"\nclaim = "a"',
        "line 7: production.claim: conflicts with models_image",
        "",
    ),
    "a tag of models": (
        'models_image = "registry.example.com/models:7"',
        "production.models_image: 'registry.example.com/models:7' has no digest",
        "",
    ),
    "a relative folder": ('host_path = "models"', "is not a folder: expected an absolute path", ""),
    "a memory without unit": ('memory = "16"', "production.memory: '16' is not a quantity of bytes", ""),
    "a number of bytes": ("memory = 16", "production.memory: expected a string, got 16", ""),
    "spare in words": ('spare = "yes"', "production.spare: expected true or false, got 'yes'", ""),
    "groups": ('groups = "eu"', "production.groups: expected a list of strings, got 'eu'", ""),
    "a group": ("groups = [1]", "production.groups: expected a string, got 1", ""),
    "labels of ours": (
        'labels = { "app.kubernetes.io/name" = "x" }',
        "production.labels.'app.kubernetes.io/name': is a label that tritonops sets itself",
        "",
    ),
    "a label": ('labels = { team = "a b" }', "line 6: production.labels.team: 'a b' is not a label's value", ""),
    "labels as a list": ("labels = []", "production.labels: expected a table, got []", ""),
    "a long label": (f'labels = {{ team = "{"x" * 64}" }}', "expected at most 63 letters", ""),
    "tolerations": ("tolerations = { key = 'a' }", "production.tolerations: expected a list of tables", ""),
    "a toleration": ("tolerations = [{ kee = 'a' }]", "production.tolerations.kee: unknown key", "'key'"),
    "an effect": (
        "tolerations = [{ key = 'a', effect = 'noschedule' }]",
        "production.tolerations.effect: expected one of NoSchedule",
        "Did you mean 'NoSchedule'",
    ),
    "Exists with a value": (
        "tolerations = [{ key = 'a', operator = 'Exists', value = 'b' }]",
        "production.tolerations.value: has no use",
        "",
    ),
    "a toleration of nothing": (
        "tolerations = [{ effect = 'NoExecute' }]",
        "production.tolerations: key is missing",
        "",
    ),
    "seconds of another effect": (
        "tolerations = [{ key = 'a', tolerationSeconds = 5 }]",
        "has a use with effect",
        "",
    ),
    "a Secret": ("secrets = { HF_TOKEN = 'Hub' }", "production.secrets.HF_TOKEN: 'Hub' is not an object's name", ""),
    "a Secret's key": ("secrets = { HF_TOKEN = 'hub/a b' }", "'hub/a b' is not a key", ""),
    "a token": ("secrets = { HF_TOKN = 'hub' }", "production.secrets.HF_TOKN: unknown key", "'HF_TOKEN'"),
    "a password in a proxy": (
        "downloads = { HTTPS_PROXY = 'http://me:secret@proxy' }",
        "production.downloads.HTTPS_PROXY: 'http://***@proxy' has a password",
        "",
    ),
    "no URL": ("downloads = { HF_ENDPOINT = 'hub.lan' }", "is not a server's URL", ""),
    "no autoscaler": ("autoscaling = { max = 2 }", "production.autoscaling: by is missing", ""),
    "another autoscaler": ("autoscaling = { by = 'kda', max = 2 }", "expected one of keda, hpa", "'keda'"),
    "no maximum": ("autoscaling = { by = 'hpa' }", "production.autoscaling: max is missing", ""),
    "no bounds": ("autoscaling = { by = 'hpa', min = 2, max = 2 }", "expected more than min, which is 2, got 2", ""),
    "to zero": ("autoscaling = { by = 'hpa', min = 0, max = 2 }", "expected a whole number from 1", ""),
    "KEDA without Prometheus": ("autoscaling = { by = 'keda', max = 2 }", "prometheus is missing", ""),
    "KEDA with a metric": ("autoscaling = { by = 'keda', max = 2, metric = 'a' }", 'has no use with by = "keda"', ""),
    "no patch": ('patch = "patch.yaml"', "production.patch: there is no file", ""),
    "a namespace": ('client_namespaces = ["Web"]', "production.client_namespaces: 'Web' is not a namespace", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named_with_its_line_target_and_key(error, case):
    lines, message, hint = CASES[case]
    found, found_hint = error(f"{HEAD}{lines}\n")
    assert message in found
    assert hint in found_hint
    assert re.match(r"line [1-9]\d*: production", found)


@pytest.mark.parametrize("key", ["context", "namespace", "image", "init_image"])
def test_a_missing_key_is_named_with_the_line_of_its_target(error, key):
    text = "".join(line for line in HEAD.splitlines(keepends=True) if not line.startswith(f"{key} ="))
    assert error(f"\n{text}")[0] == f"line 2: production: {key} is missing"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Production", "is not a target's name"),
        ('"gpu eu"', "is not a target's name"),
        ("1a", "is not a target's name"),
        ("a-", "is not a target's name"),
        ("a" * 37, "has 37 characters: expected at most 36, because names of its objects may have 63"),
    ],
)
def test_names_of_which_those_of_objects_cannot_be_made_are_refused(error, name, message):
    assert message in error(f"[targets.{name}]\n{REQUIRED}")[0]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("nvcr.io/nvidia/tritonserver:26.07-py3", "has no digest, and its tag may be moved"),
        ("nvcr.io/nvidia/tritonserver@sha256:12", "is not an image"),
        ("localhost:5000/triton", "has no digest"),
        ("", "is not an image"),
        (IMAGE.replace("-py3", "-py3-sdk"), "cannot serve: it has clients alone"),
    ],
)
def test_an_image_is_named_by_its_digest(error, image, message):
    assert message in error(HEAD.replace(f'"{IMAGE}"', f'"{image}"'))[0]


def test_a_tag_will_do_for_images_of_this_machine(read):
    text = HEAD.replace(IMAGE, "localhost/triton-cpu").replace(INIT_IMAGE, "localhost/tritonops:1")
    assert read(text).by_name["production"].init_image == "localhost/tritonops:1"


@pytest.mark.parametrize("image", [MODELS_IMAGE, "localhost/models:7"])
def test_models_come_in_an_image_by_its_digest_or_by_a_tag_of_this_machine(read, image):
    assert read(f'{HEAD}models_image = "{image}"\n').by_name["production"].models_image == image


def test_without_a_file_there_are_no_targets(tmp_path):
    path = tmp_path / "kubernetes.toml"
    with pytest.raises(InputError, match="there is no /"):
        load_targets(path).select(None)
    path.write_text("# [targets.production]\n")
    with pytest.raises(InputError, match="has no targets"):
        load_targets(path).select(None)


def test_targets_are_selected_by_name_with_near_misses(read):
    targets = read(f"{HEAD}[targets.staging]\n{REQUIRED}")
    assert [target.name for target in targets.select(None)] == ["production", "staging"]
    assert [target.name for target in targets.select("staging")] == ["staging"]
    with pytest.raises(UnknownTargetError) as caught:
        targets.select("stagin")
    assert caught.value.hint == "Did you mean 'staging'?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[target.a]\n", "line 1: unknown key 'target'"),
        ("targets = ['a']\n", "line 1: expected one table for each target"),
        ("[targets]\na = 1\n", "line 1: expected one table for each target"),
        ("[targets.a\n", "not valid TOML"),
    ],
)
def test_a_file_of_another_shape_is_refused(error, text, message):
    assert message in error(text)[0]


def test_the_commented_example_of_the_project_is_right(read, tmp_path):
    (tmp_path / "staging-patch.yaml").touch()
    lines = (PROJECT / "kubernetes.toml").read_text().splitlines()
    example = "\n".join(line.removeprefix("# ") for line in lines if re.match(r"# (\[|\w+ = )", line))
    production, staging = read(example).select(None)
    assert (production.replicas, production.host_path, production.secrets.hf_token) == (
        2,
        "/var/lib/tritonops",
        Key("hub", "HF_TOKEN"),
    )
    assert staging.autoscaling == Autoscaling("keda", 1, 4, "http://prometheus.monitoring:9090")
    assert (staging.models_image or "").startswith("registry.example.com/models:7@sha256:")
    assert load_targets(PROJECT / "kubernetes.toml").by_name == {}


def test_the_docs_name_every_key_and_their_examples_are_right(read, tmp_path):
    text = (PROJECT / "docs/kubernetes.md").read_text()
    first, scaled = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert read(first).by_name["production"].replicas == 2
    assert read(f"{HEAD}{scaled}").by_name["production"].autoscaling == Autoscaling(
        "keda", 1, 4, "http://prometheus.monitoring:9090"
    )
    table = text.partition("## kubernetes.toml")[2].partition("\n## ")[0]
    for key in parsing._KEYS - {"autoscaling", "secrets", "downloads"}:
        assert f"`{key}`" in table
        assert re.search(rf"^# {key} = ", (PROJECT / "kubernetes.toml").read_text(), re.MULTILINE) or key == "claim"
