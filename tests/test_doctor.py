import json

import pytest

from tritonops.doctor import DoctorResult, can_serve, examine
from tritonops.project import Project


def found(project):
    return {finding.check: finding for finding in examine(project)}


def test_each_part_says_what_it_lacks_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    project = Project.load(tmp_path, environ={"TRITON_URL": "127.0.0.1:1"})
    findings = found(project)
    assert {name for name, finding in findings.items() if finding.ok} <= {"disk", "embedded Triton"}
    assert "no such file" in findings["models.toml"].detail
    assert findings["GPU servers"].detail == "ssh and rsync not found"
    assert findings["GPU servers"].remedy == "sudo apt install openssh-client rsync"
    assert "docker" in findings["Docker Compose"].detail
    assert "127.0.0.1:1" in findings["a running Triton"].detail


def test_a_running_triton_and_a_catalogue_are_counted(triton, tmp_path):
    (tmp_path / "models.toml").write_text('[[models.a]]\npath = "a.onnx"\ntriton_version = 1\n')
    findings = found(Project.load(tmp_path, environ={"TRITON_URL": triton.grpc_url}))
    assert findings["models.toml"].detail == "1 models, 1 versions"
    assert findings["a running Triton"].ok
    assert not findings["models.lock"].ok


def test_a_machine_without_a_catalogue_cannot_serve(inv, tmp_path, monkeypatch):
    monkeypatch.setenv("MODELS_TOML", str(tmp_path / "models.toml"))
    code, out, err = inv("doctor", "--json")
    assert code == 1
    assert err == "error: this machine cannot serve models yet\n"
    assert "models.toml" in {row["check"] for row in json.loads(out) if not row["ok"]}


@pytest.mark.parametrize(
    ("runtime", "found", "expected"),
    [
        (None, {"Docker Compose"}, True),
        (None, set(), False),
        ("embedded", {"embedded Triton"}, True),
        ("embedded", {"Docker Compose"}, False),
        ("compose", {"embedded Triton"}, False),
    ],
)
def test_the_runtime_that_was_chosen_is_required(runtime, found, expected):
    results = [DoctorResult(check, True, "") for check in ({"models.toml", "disk"} | found)]
    assert can_serve(results, runtime) == expected
