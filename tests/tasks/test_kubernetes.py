"""kubernetes.render as it is typed: what it prints, where, and with which exit code."""

import json

import pytest
import yaml
from jsonschema import Draft202012Validator

from tasks.command_line.json_documents import DOCUMENTS
from tasks.command_line.json_schema import json_schema
from tasks.shared import checkout
from tests.kubernetes.projects import IMAGE, INIT_IMAGE, write_project

TARGET = f'context = "gpu-eu"\nnamespace = "triton"\nimage = "{IMAGE}"\ninit_image = "{INIT_IMAGE}"\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A checkout with two targets; the shell is in it."""
    write_project(tmp_path)
    (tmp_path / "kubernetes.toml").write_text(
        f"[targets.production]\n{TARGET}replicas = 2\n[targets.staging]\n{TARGET}spare = true\n"
    )
    monkeypatch.setattr(checkout, "PROJECT", tmp_path)
    monkeypatch.chdir(tmp_path)
    checkout.project.cache_clear()
    yield tmp_path
    checkout.project.cache_clear()


def test_manifests_are_printed_alone_and_notes_go_to_stderr(inv, folder):
    code, out, err = inv("kubernetes.render", "--target", "production", "--kubernetes-version", "1.20")
    assert code == 0
    assert [each["kind"] for each in yaml.safe_load_all(out)].count("Deployment") == 1
    assert "production: left out: PodDisruptionBudget in policy/v1 (from Kubernetes 1.21)" in err
    assert inv("kubernetes.render", "--target", "production", "--kubernetes-version", "1.20")[1] == out


def test_a_folder_for_each_target_is_written_once(inv, folder):
    code, out, err = inv("kubernetes.render", "--kubernetes-version", "1.34", "--output", "manifests")
    assert code == 0
    assert [line.split()[3] for line in out.splitlines()] == ["STATE", "written", "written"]
    assert "kubectl --context gpu-eu apply --server-side -k manifests/staging" in err
    assert sorted(path.name for path in (folder / "manifests").iterdir()) == ["production", "staging"]
    out = inv("kubernetes.render", "--kubernetes-version", "1.34", "--output", "manifests")[1]
    assert [line.split()[3] for line in out.splitlines()] == ["STATE", "unchanged", "unchanged"]


def test_the_document_has_every_object_and_what_was_left_out(inv, folder):
    command = ("kubernetes.render", "--kubernetes-version", "1.26", "--json")
    for options in ((), ("--output", "manifests")):
        code, out, _ = inv(*command, *options)
        assert code == 0
        found = json.loads(out)
        Draft202012Validator(json_schema(DOCUMENTS["kubernetes.render"])).validate(found)
        assert [each["target"] for each in found] == ["production", "staging"]
        assert {each["kind"] for each in found[0]["objects"]} >= {"Deployment", "Service"}
        assert [each["folder"] for each in found] == (
            ["manifests/production", "manifests/staging"] if options else [None] * 2
        )
        assert "unhealthyPodEvictionPolicy" in str(found[0]["left_out"])


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ([], "which version of Kubernetes", "--kubernetes-version 1.34"),
        (["--kubernetes-version", "latest"], "expected a version like 1.34", "kubectl version"),
        (["--kubernetes-version", "1.34", "--target", "prodution"], "has no target 'prodution'", "'production'"),
    ],
)
def test_what_is_missing_or_wrong_ends_with_2_and_what_to_give(inv, folder, words, message, hint):
    code, out, err = inv("kubernetes.render", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert hint in err


def test_one_pod_without_a_spare_needs_a_word(inv, folder):
    (folder / "kubernetes.toml").write_text(f"[targets.production]\n{TARGET}")
    command = ("kubernetes.render", "--kubernetes-version", "1.34")
    code, _, err = inv(*command)
    assert code == 2
    assert "--allow-downtime" in err
    code, out, _ = inv(*command, "--allow-downtime")
    assert code == 0
    assert "type: Recreate" in out


def test_nothing_is_written_where_one_of_several_targets_cannot_be_rendered(inv, folder):
    with (folder / "kubernetes.toml").open("a") as file:
        file.write(f"[targets.last]\n{TARGET}")
    assert inv("kubernetes.render", "--kubernetes-version", "1.34", "--output", "manifests")[0] == 2
    assert not (folder / "manifests").exists()


def test_targets_are_completed(inv, folder):
    def candidates(*words):
        return [line.partition("\t")[0] for line in inv("--complete-words", "zsh", "inv", *words)[1].splitlines()]

    assert candidates("kubernetes.render", "--target", "") == ["production", "staging"]
    assert candidates("kubernetes.render", "--target", "s") == ["staging"]
    assert candidates("kubernetes.render", "--output", "") == [":files"]
    assert "kubernetes.render" in candidates("kub")
