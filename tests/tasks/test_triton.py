import json

import onnx
import pytest

from tests.onnx_models import affine, config_pbtxt, write_model
from tests.processes import wait_for


def test_a_model_is_loaded_asked_counted_and_unloaded(triton, inv, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_URL", triton.grpc_url)
    write_model(triton.models_dir, "from_the_shell", {1: affine(2)})
    (tmp_path / "input.json").write_text('{"x": [[1, 2, 3]]}')

    code, out, err = inv("triton.load", "from_the_shell", "--json")
    assert (code, err) == (0, "")
    rows = [{"name": "from_the_shell", "version": 1, "state": "READY", "reason": None}]
    nothing: dict[str, list[str]] = {"steps": [], "dependents": [], "smoke_tests": []}
    assert json.loads(out) == {"model": "from_the_shell", "verdict": "loaded", "versions": rows, **nothing}
    code, out, _ = inv("triton.list")
    assert code == 0
    assert ["from_the_shell", "1", "READY", "-"] in [line.split() for line in out.splitlines()]
    code, out, _ = inv("triton.infer", "from_the_shell", "--input", str(tmp_path / "input.json"))
    assert (code, out) == (0, "y FP32 [1, 3]\n[[2. 4. 6.]]\n")
    code, out, err = inv("triton.infer", "--model", "from_the_shell", "--shape", "x=1,3", "--json")
    assert err == "no --input: sending zeros for x FP32 [1, 3] (declared [-1, 3])\n"
    assert json.loads(out)["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [[0, 0, 0]]}]
    code, out, _ = inv("triton.config", "from_the_shell")
    assert json.loads(out)["max_batch_size"] == 8
    stats = ("triton.stats", "--model", "from_the_shell", "--json")
    wait_for(lambda: json.loads(inv(*stats)[1])[0]["inferences"] == 2)  # counted a moment after the answer
    code, out, _ = inv("triton.unload", "from_the_shell", "--yes", "--json")
    assert [row["state"] for row in json.loads(out)["versions"]] == ["UNAVAILABLE"]


def test_versions_are_chosen_on_the_disk_of_this_machine(triton, inv, monkeypatch):
    monkeypatch.setenv("TRITON_URL", triton.grpc_url)
    monkeypatch.setenv("TRITON_MODELS_DIR", str(triton.models_dir))
    write_model(triton.models_dir, "shell_versions", {number: affine() for number in (1, 2, 3)})

    def served(*arguments):
        code, out, err = inv(*arguments, "--json")
        assert (code, err) == (0, "")
        return [row["version"] for row in json.loads(out)["versions"] if row["state"] == "READY"]

    assert served("triton.load", "shell_versions") == [3]
    assert served("triton.load", "shell_versions", "--version", "1") == [1, 3]
    assert served("triton.serve", "shell_versions", "--versions", "latest:2") == [2, 3]
    assert served("triton.unload", "shell_versions", "--version", "2", "--yes") == [3]
    code, _, err = inv("triton.unload", "shell_versions", "--version", "3", "--yes")
    assert (code, "is the last of shell_versions" in err) == (2, True)
    code, _, err = inv("triton.unload", "shell_versions")
    assert (code, "Use --yes to confirm" in err) == (2, True)
    assert served("triton.unload", "shell_versions", "--version", "3", "--all", "--yes") == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["triton.list", "--url", "http://localhost:8001"],
            2,
            "error: --url http://localhost:8001: expected host:port",
        ),
        (["triton.ready", "--wait", "soon"], 2, "error: --wait: expected a number of seconds, got 'soon'"),
        (["triton.infer", "clip", "--shape", "x=1,-1"], 2, "error: --shape: expected NAME=SIZES, such as x=1,512, got"),
        (["triton.infer", "clip", "--shape", "x=1", "--input", "x.json"], 2, "error: --shape and --input: give one"),
        (["triton.infer", "clip", "--version", "0"], 2, "error: --version: expected a positive integer, got '0'"),
        (["triton.serve", "clip"], 2, "error: triton.serve needs --versions"),
        (
            ["triton.serve", "clip", "--versions", "2-3"],
            2,
            "error: versions '2-3': expected `2,3`, `latest:2` or `all`",
        ),
        (["triton.serve", "clip", "--versions", "2", "--url", "gpu-01:8001"], 2, "error: gpu-01:8001 is not on this"),
        (["triton.list", "--url", "127.0.0.1:1"], 3, "error: no Triton answers at 127.0.0.1:1"),
        (["triton.ready", "--url", "127.0.0.1:1"], 3, "error: no Triton answers at 127.0.0.1:1"),
        (["triton.ready", "--url", "127.0.0.1:1", "--wait", "0.1"], 1, "error: Triton at 127.0.0.1:1 was not ready"),
    ],
)
def test_a_failure_is_a_message_and_an_exit_code(inv, arguments, code, message):
    ended, out, err = inv(*arguments)
    assert (ended, out) == (code, "")
    assert err.startswith(message)
    assert "Traceback" not in err


@pytest.mark.parametrize("task", ["infer", "config", "stats", "load"])
def test_a_model_that_the_server_does_not_have_is_wrong_input_for_every_task(triton, inv, task):
    write_model(triton.models_dir, f"shell_known_{task}")
    arguments = [*(["--model"] if task == "stats" else []), f"shell_knwon_{task}", "--url", triton.grpc_url]
    code, _, err = inv(f"triton.{task}", *arguments)
    assert (code, f"has no model 'shell_knwon_{task}'" in err, f"'shell_known_{task}'" in err) == (2, True, True)


def test_sizes_of_zeros_that_a_model_does_not_take_are_wrong_input(triton, inv):
    write_model(triton.models_dir, "shell_sizes")
    assert inv("triton.load", "shell_sizes", "--url", triton.grpc_url)[0] == 0
    arguments = ("triton.infer", "shell_sizes", "--url", triton.grpc_url, "--shape")
    code, _, err = inv(*arguments, "x=1,4")
    assert (code, err) == (2, "error: --shape x=1,4: shell_sizes takes x FP32 [-1, 3], whose sizes are [any, 3]\n")
    code, _, err = inv(*arguments, "xx=1,3")
    assert (code, err) == (2, "error: --shape: shell_sizes has no input 'xx'\nhint: Did you mean 'x'?\n")
    code, _, err = inv(*arguments, "x=9,3")
    assert (code, "batch-size must be <= 8" in err, "hint: --input FILE gives values." in err) == (1, True, True)


def test_a_model_that_is_not_loaded_is_not_called_unknown(triton, inv):
    write_model(triton.models_dir, "shell_unloaded")
    code, _, err = inv("triton.infer", "shell_unloaded", "--url", triton.grpc_url)
    assert (code, "hint: `inv triton.list` shows what is served" in err) == (1, True)


@pytest.fixture
def project(triton, monkeypatch, tmp_path):
    """A project of one model, with a smoke test, over the shared Triton; planned with --include only."""
    monkeypatch.setenv("TRITON_URL", triton.grpc_url)
    monkeypatch.setenv("TRITON_MODELS_DIR", str(triton.models_dir))
    monkeypatch.setenv("MODELS_TOML", str(tmp_path / "models.toml"))
    monkeypatch.setenv("TRITON_CONFIG_DIR", str(tmp_path / "triton-config"))
    onnx.save_model(affine(2, 1), tmp_path / "shell.onnx")
    (tmp_path / "models.toml").write_text('[[models.shell_planned]]\npath = "shell.onnx"\ntriton_version = 1\n')
    folder = tmp_path / "triton-config/shell_planned"
    folder.mkdir(parents=True)
    (folder / "cpu.pbtxt").write_text(config_pbtxt(affine()))
    (folder / "smoke.json").write_text('{"inputs": {"x": [[1, 2, 3]]}, "outputs": {"y": [[3, 5, 7]]}}')
    return tmp_path


def test_plan_exits_4_while_there_is_something_to_do_and_0_after_apply(project, inv):
    only = ("--include", "shell_planned", "--cpu")
    code, out, err = inv("triton.plan", *only)
    assert (code, err) == (
        4,
        "different: 1 of 1 models: shell_planned\nhint: To apply these changes: inv triton.apply shell_planned --cpu\n",
    )
    assert ["+", "shell_planned/1", "absent", "-", "download,", "load", "not", "on", "disk"] in [
        line.split() for line in out.splitlines()
    ]
    assert out.endswith("\n1 model: 1 to add, 0 to change, 0 to remove\n")
    code, out, err = inv("triton.apply", *only, "--json")
    assert (code, err) == (0, "")
    actions = ["download", "config", "load", "smoke test"]
    assert json.loads(out)["done"] == [{"model": "shell_planned", "actions": actions}]
    code, out, _ = inv("triton.plan", *only, "--json")
    assert code == 0
    assert json.loads(out)["rows"] == [
        {
            "name": "shell_planned",
            "version": 1,
            "declared": True,
            "disk": "installed",
            "server": "READY",
            "actions": ["unchanged"],
            "reason": None,
        }
    ]
    code, out, err = inv("triton.apply", *only)
    assert (code, out, err) == (0, "", "nothing was to be done\n")


def test_a_smoke_test_that_fails_exits_1(project, inv):
    inv("triton.apply", "--include", "shell_planned", "--cpu")
    assert inv("triton.smoke", "--model", "shell_planned")[0] == 0
    (project / "triton-config/shell_planned/smoke.json").write_text('{"outputs": {"y": [[3, 5, 7]]}}')
    code, out, err = inv("triton.smoke")
    assert code == 1
    assert out.split()[3:5] == ["shell_planned", "no"]
    assert "shell_planned: y[0, 0] is 1.0, expected 3.0" in err
    assert inv("triton.smoke", "--model", "other")[0] == 2


def test_prune_wants_yes_where_nobody_can_be_asked(project, triton, inv):
    write_model(triton.models_dir, "shell_undeclared")
    arguments = ("triton.apply", "--include", "shell_undeclared", "--prune")
    code, _, err = inv(*arguments)
    assert (code, err.startswith("error: Unload and disable shell_undeclared?")) == (2, True)
    assert (triton.models_dir / "shell_undeclared").is_dir()
    code, out, _ = inv(*arguments, "--yes")
    assert (code, out.split()[-2:]) == (0, ["shell_undeclared", "disable"])
    assert (triton.models_dir.with_name("triton-disabled") / "shell_undeclared").is_dir()
