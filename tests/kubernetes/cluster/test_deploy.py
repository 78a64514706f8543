"""From an empty namespace to answers, and back, as it is typed."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from tasks.command_line.json_documents import DOCUMENTS
from tasks.command_line.json_schema import json_schema
from tests.kubernetes.cluster.machine import DEPLOYER
from tests.kubernetes.cluster.team import kubectl
from tests.paths import PROJECT
from tests.remote.project import Site
from tritonops.models import config, download

MODELS = ["alpha"]


def document(task, out):
    """Read what a task printed with --json, and compare it with the documented schema."""
    found = json.loads(out)
    Draft202012Validator(json_schema(DOCUMENTS[task])).validate(found)
    return found


def rows(out):
    """Split the rows of a table into words."""
    return [line.split() for line in out.splitlines()]


def digests(folder):
    """Give the SHA-256 of each file of a models directory."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".tritonops" not in path.name
    }


@pytest.fixture(scope="module")
def deployed(team):
    """What the first deploy of this file printed, by task."""
    team.write_targets(production={})
    return {}


def deploy_once(cli, deployed):
    """Deploy from the empty namespace, with the plan before it."""
    if not deployed:
        deployed["plan"] = cli("kubernetes.plan")
        deployed["deploy"] = cli("kubernetes.deploy", "--target", "production")
        assert deployed["deploy"][0] == 0, deployed["deploy"]
    return deployed


def test_an_empty_namespace_becomes_a_target_that_answers(cli, team, deployed):
    found = deploy_once(cli, deployed)
    code, out, err = found["plan"]
    assert code == 4
    assert ["+", "model", "alpha/1", "add"] in rows(out)
    assert ["+", "Deployment", "production-triton", "add"] in rows(out)
    assert "production: nothing → " in out
    assert "hint: inv kubernetes.deploy --target production" in err
    code, out, err = found["deploy"]
    assert out.splitlines()[1].split()[:2] == ["production", "deployed"]
    assert "serves 2 versions" in err
    code, out, _ = cli("triton.infer", "digits", "--target", "production", "--json")
    assert code == 0
    assert "digit" in out
    assert cli("triton.smoke", "--target", "production")[0] == 0


def test_the_files_are_those_of_the_laptop_and_of_an_ssh_host(cli, team, deployed, tmp_path):
    deploy_once(cli, deployed)
    (pod,) = team.live(team.target()).pods()
    served = team.digests(pod["metadata"]["name"])
    models = {path: digest for path, digest in served.items() if path.endswith(".onnx")}
    assert set(models) == {"alpha/1/model.onnx", "digits/1/model.onnx"}
    project = team.project()
    download.raise_unless_done(download.download(project))
    config.raise_unless_done(config.copy_configs(project, variant="cpu"))
    assert digests(team.folder / "triton") == served
    with Site.at(tmp_path, "gpu-01", HF_ENDPOINT=team.hub.endpoint) as site:
        for name in ("models.toml", "models.lock"):
            shutil.copy(team.folder / name, site.clone.folder)
        shutil.copytree(team.folder / "triton-config", site.clone.folder / "triton-config", dirs_exist_ok=True)
        site.clone.commit("The same catalogue")
        site.deploy()
        on_host = digests(site.servers["gpu-01"].root / "current/triton")
    assert {path: on_host[path] for path in served} == served


def test_a_second_deploy_says_so_and_asks_three_times(cli, deployed, kubectl_calls):
    deploy_once(cli, deployed)
    before = len(kubectl_calls())
    code, out, err = cli("kubernetes.deploy", "--target", "production")
    assert (code, out.splitlines()[1].split()[:3]) == (0, ["production", "no", "changes"])
    assert 0 < len(kubectl_calls()) - before <= 3, kubectl_calls()
    code, out, err = cli("kubernetes.plan")
    assert (code, out, err.splitlines()[-1]) == (0, "", "no changes")


def test_status_releases_and_logs_show_what_was_deployed(cli, deployed):
    deploy_once(cli, deployed)
    found = document("kubernetes.status", cli("kubernetes.status", "--json")[1])
    assert (found["result"], found["replicas"], found["ready"]) == ("served", 1, 1)
    assert [(pod["state"], pod["served"], pod["expected"]) for pod in found["pods"]] == [("ready", 2, 2)]
    code, out, _ = cli("kubernetes.status")
    assert code == 0
    assert "1 of 1 pods are ready" in out
    (release,) = document("kubernetes.releases", cli("kubernetes.releases", "--json")[1])
    assert (release["release"], release["result"], release["current"]) == (found["release"], "served", True)
    assert release["by"]
    code, out, _ = cli("kubernetes.logs", "--lines", "5")
    assert code == 0
    assert "/prepare] complete: /volume/releases/" in out
    assert document("kubernetes.logs", cli("kubernetes.logs", "--json")[1])["lines"]


@pytest.mark.parametrize("words", [["load", "alpha"], ["unload", "alpha", "--yes"], ["apply"], ["plan"]])
def test_what_a_pod_serves_is_changed_by_a_rollout_alone(cli, deployed, words):
    deploy_once(cli, deployed)
    task, *rest = words
    code, out, err = cli(f"triton.{task}", *rest, "--target", "production")
    assert (code, out) == (2, "")
    assert "a change is a rollout" in err
    assert "inv kubernetes.deploy --target production" in err


def test_the_tasks_of_a_server_take_a_target(cli, deployed):
    deploy_once(cli, deployed)
    for words in (["list"], ["ready"], ["stats"], ["config", "alpha"]):
        code, _out, err = cli(f"triton.{words[0]}", *words[1:], "--target", "production")
        assert code == 0, err
        assert "production: pod production-triton-" in err
    code, _, err = cli("triton.list", "--target", "production", "--url", "localhost:8001")
    assert (code, err.splitlines()[0]) == (2, "error: --url and --target: give one of them")


def test_a_release_replaces_another_and_comes_back(cli, team, deployed):
    deploy_once(cli, deployed)
    first = document("kubernetes.status", cli("kubernetes.status", "--json")[1])["release"]
    team.write_catalog({"alpha": "second"})
    code, out, _ = cli("kubernetes.plan")
    assert code == 4
    assert ["~", "model", "alpha/1", "change"] in rows(out)
    code, out, _ = cli("kubernetes.deploy", "--json")
    found = document("kubernetes.deploy", out)
    assert (code, found["result"], found["before"]) == (0, "deployed", first)
    assert answer(cli) == 3.0
    code, out, _ = cli("kubernetes.rollback", "--json")
    found = document("kubernetes.rollback", out)
    assert (code, found["result"], found["release"]) == (0, "rolled back", first)
    assert answer(cli) == 2.0
    kept = document("kubernetes.releases", cli("kubernetes.releases", "--json")[1])
    assert [row["current"] for row in kept] == [False, True]
    assert kept[-1]["restored"]
    assert cli("kubernetes.rollback", "--to", kept[0]["release"][:4])[0] == 2
    assert cli("kubernetes.plan")[0] == 4  # the checkout has the second one
    team.write_catalog({"alpha": "main"})
    code, out, _err = cli("kubernetes.plan")
    assert (code, out) == (0, ""), out


def answer(cli):
    """What alpha makes of 1."""
    Path("input.json").write_text('{"x": [[1, 1, 1]]}')
    code, out, err = cli("triton.infer", "alpha", "--input", "input.json", "--target", "production", "--json")
    assert code == 0, err
    return json.loads(out)["outputs"][0]["data"][0][0]


def give_rights(team):
    """Give the user `deployer` the rights that docs/kubernetes.md names."""
    page = (PROJECT / "docs/kubernetes.md").read_text()
    (text,) = re.findall(r"```yaml\n(apiVersion: rbac.*?)```", page, re.DOTALL)
    role = yaml.safe_load(text)
    role["metadata"]["namespace"] = team.namespace
    team.kubectl.output(["create", "--filename=-"], stdin=json.dumps(role))
    words = ["rolebinding", "deployers", "--role=tritonops", "--group=deployers"]
    kubectl("-n", team.namespace, "create", *words)


def test_two_targets_of_a_namespace_do_not_meet(cli, team, deployed, monkeypatch):
    """The second one is deployed with the rights that the documentation names, and no others."""
    deploy_once(cli, deployed)
    team.write_targets(production={}, staging={})
    assert cli("kubernetes.plan")[0] == 2  # which one?
    give_rights(team)
    monkeypatch.setenv("KUBECONFIG", str(DEPLOYER))
    assert "staging: nothing is deployed" in cli("kubernetes.status", "--target", "staging")[2]
    code, _, err = cli("kubernetes.deploy", "--target", "staging")
    assert code == 0, err
    for task in ("status", "releases", "logs", "plan"):
        assert cli(f"kubernetes.{task}", "--target", "staging")[0] == 0
    assert cli("triton.smoke", "--target", "staging")[0] == 0
    assert cli("kubernetes.plan", "--target", "production")[0] == 0
    code, out, _ = cli("kubernetes.remove", "--target", "staging", "--yes")
    assert code == 0
    assert "Deployment" in out
    assert "no changes" in cli("kubernetes.plan", "--target", "production")[2]
    left = kubectl("-n", team.namespace, "get", "all,cm,netpol,sa", "-o", "name")
    assert "staging" not in left
    assert "production-triton" in left
    code, out, err = cli("kubernetes.remove", "--target", "staging", "--yes")
    assert (code, out) == (0, "")
    assert "there is nothing to remove" in err
    team.write_targets(production={})
