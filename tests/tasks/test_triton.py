import json

import pytest

from tests.onnx_models import affine, write_model


def test_a_model_is_loaded_asked_counted_and_unloaded(triton, inv, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_URL", triton.grpc_url)
    write_model(triton.models_dir, "from_the_shell", {1: affine(2)})
    (tmp_path / "input.json").write_text('{"x": [[1, 2, 3]]}')

    code, out, err = inv("triton.load", "from_the_shell", "--json")
    assert (code, err) == (0, "")
    rows = [{"name": "from_the_shell", "version": 1, "state": "READY", "reason": None}]
    assert json.loads(out) == {"model": "from_the_shell", "verdict": "loaded", "versions": rows}
    code, out, _ = inv("triton.list")
    assert code == 0
    assert ["from_the_shell", "1", "READY", "-"] in [line.split() for line in out.splitlines()]
    code, out, _ = inv("triton.infer", "from_the_shell", "--input", str(tmp_path / "input.json"))
    assert (code, out) == (0, "y FP32 [1, 3]\n[[2. 4. 6.]]\n")
    code, out, _ = inv("triton.infer", "--model", "from_the_shell", "--json")
    assert json.loads(out)["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [[0, 0, 0]]}]
    code, out, _ = inv("triton.config", "from_the_shell")
    assert json.loads(out)["max_batch_size"] == 8
    code, out, _ = inv("triton.stats", "--model", "from_the_shell", "--json")
    assert json.loads(out)[0]["inferences"] == 2
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
    assert (code, "Pass --yes" in err) == (2, True)
    assert served("triton.unload", "shell_versions", "--version", "3", "--all", "--yes") == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["triton.list", "--url", "http://localhost:8001"], 2, "error: --url http://localhost:8001: want host:port"),
        (["triton.ready", "--wait", "soon"], 2, "error: --wait soon: want a number of seconds"),
        (["triton.infer", "clip", "--version", "0"], 2, "error: --version 0: want a whole number of at least 1"),
        (["triton.serve", "clip"], 2, "error: versions ''"),
        (["triton.serve", "clip", "--versions", "2-3"], 2, "error: versions '2-3': want `2,3`, `latest:2` or `all`"),
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
