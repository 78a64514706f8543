"""Whatever one model is, the others are served: ten ways in which a model hangs or crashes Triton, at once."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tarfile
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.onnx_models import affine, write_model
from tests.paths import PROJECT
from tests.server.bad_models import GOOD, TEN, broken_stub, config_a_pipe, labels_a_pipe, model_a_pipe, never_returns
from tests.server.python_models import ABORT_THE_SERVER, CONFIG, python_model
from tests.triton.projects import write_ensemble
from tritonops.errors import LoadError, TritonOpsError, TritonTimeoutError
from tritonops.server import embedded
from tritonops.server.ports import free_ports
from tritonops.server.status import server_status
from tritonops.triton.client.client import connect
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.infer import infer
from tritonops.triton.load import load_model
from tritonops.triton.unload import unload_model

pytestmark = pytest.mark.usefixtures("embedded_runtime")


def processes_in(folder):
    """List the processes with a path below this folder in their command lines."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{folder}/".encode() in process.joinpath("cmdline").read_bytes():
                found.append(process.name)
    return found


@pytest.fixture(scope="module")
def beside_ten(tmp_path_factory, start_module_triton):
    models_dir = tmp_path_factory.mktemp("ten") / "triton"
    models_dir.mkdir()
    for name in GOOD:
        write_model(models_dir, name, {1: affine(3)})
    expected = dict(make(models_dir) for make in (*TEN, broken_stub, config_a_pipe, labels_a_pipe, model_a_pipe))
    return start_module_triton(models_dir, model_timeout=12), expected


def test_ten_good_models_are_served_beside_ten_bad_ones_that_are_named_with_their_reasons(beside_ten):
    server, expected = beside_ten
    rows = {row.name: row for row in server_status(server.server_dir).models}
    assert [name for name, row in rows.items() if row.state == "READY"] == GOOD
    assert rows.keys() == {*GOOD, *expected}
    for name, reason in expected.items():
        assert re.search(reason, rows[name].reason or "", re.DOTALL), (name, rows[name])


def inv(*arguments, environment):
    command = [sys.executable, "-P", PROJECT / "tasks/shared/program.py", "--search-root", PROJECT, *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRITON")}
    return subprocess.Popen(
        command, env={**kept, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def answers(url, names):
    """Whether each of the models answers."""
    with connect(url) as client, contextlib.suppress(TritonOpsError):
        return all(infer(client, name).responses for name in names)
    return False


def test_the_good_ones_answer_while_the_others_are_waited_for(tmp_path):
    models_dir = tmp_path / "triton"
    models_dir.mkdir()
    for name in GOOD:
        write_model(models_dir, name, {1: affine(3)})
    expected = dict(make(models_dir) for make in TEN)
    ports = free_ports()
    environment = {"TRITON_MODELS_DIR": str(models_dir)}
    environment |= {f"TRITON_EXPOSE_{kind.upper()}": str(port) for kind, port in asdict(ports).items()}
    with inv("server.up", "--model-timeout", "12", environment=environment) as up:
        have_answered = False
        while up.poll() is None and not have_answered:
            have_answered = answers(f"127.0.0.1:{ports.grpc}", GOOD)
        is_waiting = up.poll() is None
        output, _ = up.communicate(timeout=120)
    assert (have_answered, is_waiting) == (True, True), output
    assert up.returncode == 1
    failed = output[output.index("error: Triton is running, but does not serve:") :]
    assert dict(re.findall(r"^  (\w+): (.*)", failed, re.MULTILINE)).keys() == expected.keys()
    for name, reason in expected.items():
        assert re.search(rf"^  {name}: .*{reason}", failed, re.MULTILINE), (name, failed)
    with inv("server.down", environment=environment) as down:
        assert down.wait(60) == 0
    assert not processes_in(tmp_path)


@pytest.mark.parametrize(
    "name", ["no_model_py", "foreign_stub", "config_a_folder", "labels_a_folder", "version_of_20_digits"]
)
def test_a_load_that_would_hang_or_crash_the_server_is_refused_before_it_is_sent(beside_ten, name):
    server, expected = beside_ten
    with connect(server.grpc_url) as client:
        with pytest.raises(LoadError, match=expected[name]):
            load_model(client, name, disk=ServedFolder.of(server.models_dir, server.grpc_url))
        assert "good0" in {row.name for row in client.index() if row.state == "READY"}


@pytest.mark.parametrize("change", [load_model, unload_model])
def test_a_model_in_a_load_that_never_ends_is_named_at_once(beside_ten, change):
    server, _ = beside_ten
    with connect(server.grpc_url) as client, pytest.raises(LoadError, match="its load cannot end") as caught:
        change(client, "broken_stub", disk=ServedFolder.of(server.models_dir, server.grpc_url), timeout=20)
    assert "restart the server" in (caught.value.hint or "")


def test_an_unload_of_a_model_that_is_still_loading_says_so(beside_ten):
    server, _ = beside_ten
    with connect(server.grpc_url) as client, pytest.raises(TritonTimeoutError) as caught:
        unload_model(client, "never_returns", timeout=1)
    assert "never_returns: " in str(caught.value)
    assert "had not unloaded it within 1 s: version 1 is LOADING" in str(caught.value)


def test_a_reason_too_long_for_grpc_is_read_from_the_index(beside_ten):
    server, _ = beside_ten
    with connect(server.grpc_url) as client, pytest.raises(LoadError, match=r"long_error: .*RuntimeError: true reason"):
        load_model(client, "long_error", disk=ServedFolder.of(server.models_dir, server.grpc_url))


def test_a_server_with_a_load_that_never_ends_stops_at_once_and_leaves_no_process(tmp_path):
    models_dir = tmp_path / "triton"
    models_dir.mkdir()
    write_model(models_dir, "good", {1: affine(3)})
    broken_stub(models_dir)
    never_returns(models_dir)
    server = embedded.start(models_dir, tmp_path / ".server", ports=free_ports(), model_timeout=1)
    assert processes_in(tmp_path)
    assert embedded.stop(server, timeout=20)  # Triton itself would take 30 s, and leave its stubs
    assert not processes_in(tmp_path)


def test_stubs_do_not_outlive_a_server_that_was_killed(tmp_path):
    models_dir = tmp_path / "triton"
    python_model(models_dir, "echo")
    server = embedded.start(models_dir, tmp_path / ".server", ports=free_ports())
    os.kill(server.process.pid, signal.SIGKILL)
    again = embedded.start(models_dir, tmp_path / ".server", ports=free_ports())
    embedded.kill(again)
    assert not processes_in(tmp_path)


def test_an_ensemble_that_triton_refuses_is_named_with_its_reason(tmp_path, start_triton):
    models_dir = tmp_path / "triton"
    write_model(models_dir, "step", {1: affine(width=4)})
    write_ensemble(models_dir, "unlike", "step")
    rows = {row.name: row for row in server_status(start_triton(models_dir).server_dir).models}
    assert rows["step"].state == "READY"
    assert "inconsistent shape: [-1,3] is inferred from model unlike" in (rows["unlike"].reason or "")


def test_after_crashes_the_server_starts_again_without_the_culprits(tmp_path, start_triton):
    """Two of six models abort the server; which ones is found by loading those that were loading one by one."""
    models_dir = tmp_path / "triton"
    for name in ("a", "c", "e", "f"):
        write_model(models_dir, name, {1: affine(3)})
    for name in ("b", "d"):
        python_model(models_dir, name, initialize=ABORT_THE_SERVER)
    server = start_triton(models_dir)
    rows = {row.name: row for row in server_status(server.server_dir).models}
    assert [name for name, row in rows.items() if row.state == "READY"] == ["a", "c", "e", "f"]
    for name in ("b", "d"):
        assert "Triton crashed while it loaded this model" in (rows[name].reason or "")


def test_a_server_that_hangs_in_its_crash_is_one_that_crashed(tmp_path, start_triton):
    """The handler of the fault may wait for a lock for ever: the server writes of its signal, and stays."""
    models_dir = tmp_path / "triton"
    write_model(models_dir, "a", {1: affine(3)})
    python_model(models_dir, "b", initialize="print('Signal (6) received.', flush=True); __import__('time').sleep(60)")
    server = start_triton(models_dir)
    rows = {row.name: row for row in server_status(server.server_dir).models}
    assert rows["a"].state == "READY"
    assert "Triton crashed while it loaded this model" in (rows["b"].reason or "")


@pytest.mark.parametrize("start", range(int(os.environ.get("STARTS", "2"))))
def test_models_load_beside_one_whose_environment_is_being_unpacked(tmp_path, start_triton, start):
    """Triton changes its directory meanwhile: with relative paths the stubs of other models were not found."""
    models_dir = tmp_path / "my $(models)" / "triton"
    models_dir.mkdir(parents=True)
    archive = tmp_path / "environment.tar.gz"
    files = tmp_path / "environment" / "bin"
    files.mkdir(parents=True)
    (files / "activate").write_text("")
    for number in range(4000):
        (files / f"file{number}").write_bytes(os.urandom(4000))
    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        packed.add(tmp_path / "environment", arcname=".")
    assert archive.stat().st_size > 16_000_000
    parameter = f'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{archive}" }} }}\n'
    python_model(models_dir, "packed", config=CONFIG + parameter)
    for name in GOOD[:6]:
        write_model(models_dir, name, {1: affine(3)})
    server = start_triton(models_dir, model_timeout=30)
    rows = {row.name: row for row in server_status(server.server_dir).models}
    assert [name for name, row in rows.items() if row.state == "READY"] == [*GOOD[:6], "packed"], rows
