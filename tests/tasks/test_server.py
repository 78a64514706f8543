import json
import os
import re
import signal
import subprocess
import time

import pytest

from tests.onnx_models import write_model
from tests.paths import PROJECT
from tritonops.server import embedded
from tritonops.server.ports import free_ports, is_free

pytestmark = pytest.mark.usefixtures("embedded_runtime")


@pytest.fixture
def models_dir(tmp_path, monkeypatch):
    """A models directory that the settings name, with free ports; what was started there is ended."""
    folder = tmp_path / "triton"
    folder.mkdir()
    ports = free_ports()
    monkeypatch.setenv("TRITON_MODELS_DIR", str(folder))
    monkeypatch.setenv("TRITON_EXPOSE_HTTP", str(ports.http))
    monkeypatch.setenv("TRITON_EXPOSE_GRPC", str(ports.grpc))
    monkeypatch.setenv("TRITON_EXPOSE_METRICS", str(ports.metrics))
    yield folder
    if server := embedded.find(folder.with_name(".server")):
        embedded.kill(server)


def rows(table):
    return [line.split()[:3] for line in table.splitlines()[1:]]


def test_one_bad_model_of_three_is_named_while_the_others_are_served(models_dir, inv):
    for name in ("good", "better"):
        write_model(models_dir, name)
    broken = write_model(models_dir, "broken") / "config.pbtxt"
    broken.write_text('backend: "onnxruntime"\nmax_batch: 8\n')
    code, out, err = inv("server.up")
    assert code == 1
    assert rows(out)[0] == ["better", "1", "READY"]
    assert rows(out)[2] == ["good", "1", "READY"]
    assert "Triton is running, but does not serve:\n  broken: failed to read text proto" in err
    assert 'line 2, column 10: Message type "inference.ModelConfig" has no field named "max_batch"' in err


def test_models_without_a_version_or_a_backend_here_are_named(models_dir, inv):
    (models_dir / "empty").mkdir()
    (models_dir / "versionless").mkdir()
    (models_dir / "versionless" / "config.pbtxt").write_text('backend: "onnxruntime"\n')
    config = write_model(models_dir, "keras") / "config.pbtxt"
    tensorflow = 'backend: "tensorflow"\nplatform: "tensorflow_savedmodel"'
    config.write_text(config.read_text().replace('backend: "onnxruntime"', tensorflow))
    code, _, err = inv("server.up")
    assert code == 1
    assert "keras: the embedded Triton has no backend 'tensorflow'" in err
    assert "empty: failed to open text file for read" in err
    assert "versionless: at least one version must be available" in err


def test_a_server_is_brought_up_shown_restarted_and_brought_down(models_dir, inv):
    write_model(models_dir, "served")
    code, out, err = inv("server.up", "--json")
    assert code == 0
    started = json.loads(out)
    assert started["models"] == [{"name": "served", "version": 1, "state": "READY", "reason": None}]
    assert started["grpc_url"] == f"127.0.0.1:{os.environ['TRITON_EXPOSE_GRPC']}"

    code, _, err = inv("server.up")
    assert code == 0
    assert f"Triton is already running (pid {started['pid']})" in err
    code, out, _ = inv("server.status", "--json")
    assert (code, json.loads(out)) == (0, started)
    code, out, _ = inv("triton.unload", "served", "--yes")
    assert code == 0
    assert inv("server.status")[0] == 0

    code, out, _ = inv("server.restart", "--json")
    assert code == 0
    assert json.loads(out)["pid"] != started["pid"]
    code, _, err = inv("server.down")
    assert (code, "Triton is stopped" in err) == (0, True)
    code, _, err = inv("server.down")
    assert (code, err) == (0, "Triton is not running.\n")


def test_a_model_that_came_later_is_named_until_it_is_loaded(models_dir, inv):
    inv("server.up")
    write_model(models_dir, "late")
    code, _, err = inv("server.status")
    assert code == 1
    assert "late: it was never loaded: try `inv triton.load late`" in err
    assert inv("triton.load", "late", "--url", f"127.0.0.1:{os.environ['TRITON_EXPOSE_GRPC']}")[0] == 0
    assert inv("server.status")[0] == 0


def test_a_server_that_is_not_up_is_reported_as_unreachable(models_dir, inv):
    code, _, err = inv("server.status")
    assert code == 3
    assert err.startswith("error: the embedded Triton is not running\nhint: Start it with `inv server.up`.")
    assert inv("server.logs")[0] == 3


def test_a_killed_server_is_reported_with_its_log(models_dir, inv):
    inv("server.up")
    server = embedded.find(models_dir.with_name(".server"))
    assert server
    os.killpg(server.process.pid, signal.SIGKILL)
    while server.process.is_alive():
        pass
    code, _, err = inv("server.status")
    assert code == 3
    assert f"The last one's log: {server.log}" in err
    code, out, _ = inv("server.logs", "--lines", "2")
    assert code == 0
    assert out.count("\n") == 2
    assert "Service" in out


def write_slow_model(models_dir):
    """A model that takes a minute to load."""
    (models_dir / "slow" / "1").mkdir(parents=True)
    (models_dir / "slow" / "config.pbtxt").write_text(
        'backend: "python"\ninput [{ name: "x" data_type: TYPE_FP32 dims: [1] }]\n'
        'output [{ name: "y" data_type: TYPE_FP32 dims: [1] }]\ninstance_group [{ kind: KIND_CPU }]\n'
    )
    (models_dir / "slow" / "1" / "model.py").write_text(
        "import time\nclass TritonPythonModel:\n    def initialize(self, args):\n        time.sleep(60)\n"
    )


def until(condition):
    deadline = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_an_interrupted_start_leaves_nothing_running(models_dir, inv):
    write_slow_model(models_dir)
    with subprocess.Popen([PROJECT / "inv", "server.up"], stderr=subprocess.PIPE, text=True) as up:
        server = until(lambda: embedded.find(models_dir.with_name(".server")))
        code, _, err = inv("server.status")
        assert code == 3
        assert f"the embedded Triton (pid {server.process.pid}) is still starting" in err
        up.send_signal(signal.SIGINT)
        assert up.wait(20) == 130
    assert not server.process.is_alive()
    assert is_free(server.ports.http)
    assert inv("server.status")[0] == 3


def test_a_server_that_hangs_is_not_called_starting(models_dir, inv):
    inv("server.up")
    server = embedded.find(models_dir.with_name(".server"))
    assert server is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    code, _, err = inv("server.status")
    assert code == 3
    assert f"the embedded Triton (pid {server.process.pid}) does not answer" in err
    assert "inv server.restart" in err
    os.kill(server.process.pid, signal.SIGCONT)
    assert inv("server.status")[0] == 0


def test_a_server_is_brought_down_while_it_loads(models_dir, inv):
    write_slow_model(models_dir)
    with subprocess.Popen([PROJECT / "inv", "server.up"], stderr=subprocess.PIPE, text=True) as up:
        until(lambda: embedded.find(models_dir.with_name(".server")))
        assert inv("server.down", "--timeout", "0")[0] == 0
        _, err = up.communicate(timeout=20)
    assert up.returncode == 1
    assert re.search("error: Triton did not start: it (ended while starting|was stopped while)", err)


def test_the_reader_of_a_log_may_leave_early(models_dir, inv):
    inv("server.up")
    done = subprocess.run(
        ["sh", "-c", f"{PROJECT}/inv server.logs | head -n 1"], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
