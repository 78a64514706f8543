import concurrent.futures
import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.onnx_models import affine, write_model
from tests.paths import PROJECT
from tritonops.errors import (
    InputError,
    PortTakenError,
    RepositoryError,
    ServerStartError,
    TokenRefusedError,
)
from tritonops.server import embedded
from tritonops.server.command_line import shared_memory
from tritonops.server.installation import find_installation
from tritonops.server.ports import Ports, free_ports, is_free
from tritonops.triton.client.client import connect

pytestmark = pytest.mark.usefixtures("embedded_runtime")


@pytest.fixture
def models_dir(tmp_path):
    folder = tmp_path / "triton"
    folder.mkdir()
    return folder


def served(server, **options):
    with connect(server.grpc_url, **options) as client:
        return {(row.name, row.version) for row in client.index() if row.state == "READY"}


def pid_file(models_dir):
    return models_dir.with_name(".server") / "triton.pid"


def test_every_model_is_served_from_the_start(models_dir, start_triton):
    write_model(models_dir, "first", {1: affine(3)})
    write_model(models_dir, "second", {2: affine(4)})
    assert served(start_triton(models_dir)) == {("first", 1), ("second", 2)}


def test_it_listens_on_the_loopback_interface_only(triton):
    listening: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, port = line.split()[1].split(":")
            if line.split()[3] == "0A" and int(port, 16) in dataclasses.astuple(triton.ports):
                listening.add(address[-8:])
    assert listening == {"0100007F"}  # 127.0.0.1, as the kernel writes it


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("register_system_shared_memory", ("name", "/key", 1)),
        ("update_trace_settings", ()),
        ("update_log_settings", ({},)),
    ],
)
def test_what_reaches_memory_or_files_of_the_machine_is_closed(triton, call, arguments):
    from tritonclient.grpc import InferenceServerClient
    from tritonclient.utils import InferenceServerException

    with (
        InferenceServerClient(triton.grpc_url) as client,
        pytest.raises(InferenceServerException, match="protocol is restricted"),
    ):
        getattr(client, call)(*arguments)


def test_a_token_closes_the_control_of_models_and_is_written_nowhere(models_dir, start_triton):
    write_model(models_dir, "guarded")
    server = start_triton(models_dir, token="s3cret-token")
    with connect(server.grpc_url) as client, pytest.raises(TokenRefusedError):
        client.index()
    assert served(server, token="s3cret-token") == {("guarded", 1)}
    for path in server.server_dir.iterdir():
        assert path.is_dir() or "s3cret" not in path.read_text()


def test_starting_what_is_up_gives_the_running_one(models_dir, start_triton):
    server = start_triton(models_dir)
    again = embedded.start(models_dir, server.server_dir, ports=free_ports())
    assert again == server


def test_two_starts_at_once_make_one_server(models_dir):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        options = [free_ports(), free_ports()]
        starts = [pool.submit(embedded.start, models_dir, models_dir.with_name(".server"), ports=p) for p in options]
        first, second = (start.result() for start in starts)
    embedded.kill(first)
    assert first == second


@pytest.mark.parametrize("protocol", ["http", "grpc", "metrics"])
def test_a_port_that_is_taken_is_named_with_who_has_it(models_dir, protocol):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        ports = dataclasses.replace(free_ports(), **{protocol: port})
        with pytest.raises(PortTakenError, match=rf"port {port} \({protocol}\) is taken by process {os.getpid()} \("):
            embedded.start(models_dir, models_dir.with_name(".server"), ports=ports)


def test_another_server_that_takes_the_port_just_then_does_not_pass_for_ours(models_dir, start_triton, monkeypatch):
    (models_dir.parent / "other/triton").mkdir(parents=True)
    other = start_triton(models_dir.parent / "other/triton")
    monkeypatch.setattr(embedded, "require_free", lambda ports: None)  # the other one came a moment later
    ports = dataclasses.replace(free_ports(), http=other.ports.http)
    with pytest.raises(ServerStartError, match="already in use"):
        embedded.start(models_dir, models_dir.with_name(".server"), ports=ports)
    assert served(other) == set()


def test_one_port_for_two_protocols_is_refused(models_dir):
    with pytest.raises(InputError, match="must differ"):
        embedded.start(models_dir, models_dir.with_name(".server"), ports=Ports(8000, 8000, 8002))


def test_a_models_directory_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RepositoryError, match="no such folder"):
        embedded.start(tmp_path / "triton", tmp_path / ".server", ports=free_ports())


def test_a_path_with_spaces_is_served_from(tmp_path, start_triton):
    write_model(tmp_path / "my $(models)" / "triton", "spaced")
    assert served(start_triton(tmp_path / "my $(models)" / "triton")) == {("spaced", 1)}


@pytest.mark.parametrize("name", ["two words", "$(touch pwned)", "a;b", "a'b"])
def test_a_model_whose_name_a_shell_would_read_otherwise_is_left_out(models_dir, name, start_triton):
    write_model(models_dir, "plain")
    (models_dir / name).mkdir()
    server = start_triton(models_dir)
    assert served(server) == {("plain", 1)}
    assert "cannot serve a folder named" in embedded.not_loaded(server)[0][name]


def test_a_server_folder_that_cannot_be_made_is_named(models_dir):
    models_dir.with_name(".server").write_text("in the way")
    with pytest.raises(RepositoryError, match=r"cannot write to .*\.server: File exists"):
        embedded.start(models_dir, models_dir.with_name(".server"), ports=free_ports())


def test_a_disk_that_takes_no_more_is_named_and_nothing_is_left_running(models_dir, tmp_path):
    """A limit on the size of files stands in for a full disk: the server's parts cannot be copied."""
    start = (
        "import resource; from pathlib import Path; from tritonops.server import embedded, ports;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        f"embedded.start(Path({str(models_dir)!r}), Path({str(tmp_path / '.server')!r}), ports=ports.free_ports())"
    )
    done = subprocess.run([sys.executable, "-c", start], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert re.search(rf"RepositoryError: cannot write to {tmp_path}/\.server/\S+: File too large", done.stderr)
    assert embedded.find(tmp_path / ".server") is None


def test_a_server_that_takes_too_long_is_ended(models_dir):
    write_model(models_dir, "slow")
    ports = free_ports()
    with pytest.raises(ServerStartError, match="did not answer within 0 s"):
        embedded.start(models_dir, models_dir.with_name(".server"), ports=ports, timeout=0)
    assert embedded.find(models_dir.with_name(".server")) is None
    assert not pid_file(models_dir).exists()
    assert is_free(ports.http)


def test_a_server_that_ends_while_starting_gives_its_last_words(models_dir, tmp_path):
    broken = tmp_path / "tritonserver"
    broken.write_text("#!/bin/sh\necho 'error: creating server: Internal' >&2\nexit 1\n")
    broken.chmod(0o755)
    installation = dataclasses.replace(find_installation(), executable=broken)
    with pytest.raises(ServerStartError, match=r"ended while starting\nerror: creating server: Internal"):
        embedded.start(models_dir, models_dir.with_name(".server"), ports=free_ports(), installation=installation)


def test_a_stopped_server_is_gone_and_a_new_one_keeps_its_log(models_dir, start_triton):
    server = start_triton(models_dir)
    assert embedded.stop(server)
    assert embedded.find(server.server_dir) is None
    assert not pid_file(models_dir).exists()
    start_triton(models_dir)
    assert "Signal (15) received" in server.log.with_name("triton.log.1").read_text()


def test_a_server_that_does_not_end_is_killed_with_its_models(models_dir, start_triton):
    write_model(models_dir, "stuck")
    server = start_triton(models_dir)
    os.kill(server.process.pid, signal.SIGSTOP)
    assert not embedded.stop(server, timeout=0.1)
    assert embedded.find(server.server_dir) is None
    assert is_free(server.ports.grpc)


def test_a_killed_server_leaves_a_pid_file_that_stops_nobody(models_dir, start_triton):
    write_model(models_dir, "survivor")
    server = start_triton(models_dir)
    assert shared_memory(server.server_dir)
    os.killpg(server.process.pid, signal.SIGKILL)
    while server.process.is_alive():
        pass
    assert pid_file(models_dir).exists()
    assert embedded.find(server.server_dir) is None
    again = start_triton(models_dir)
    assert served(again) == {("survivor", 1)}
    embedded.kill(again)
    assert not shared_memory(server.server_dir)


def test_a_pid_that_now_belongs_to_another_process_is_not_taken_for_the_server(models_dir, start_triton):
    server = start_triton(models_dir)
    text = pid_file(models_dir).read_text()
    pid_file(models_dir).write_text(text.replace(f'"pid": {server.process.pid}', f'"pid": {os.getpid()}'))
    assert embedded.find(server.server_dir) == server


@pytest.mark.parametrize("content", [None, "not json", "{}"])
def test_a_server_whose_pid_file_is_lost_is_found_by_its_command_line(models_dir, start_triton, content):
    write_model(models_dir, "found")
    server = start_triton(models_dir)
    pid_file(models_dir).unlink()
    if content is not None:
        pid_file(models_dir).write_text(content)
    found = embedded.find(server.server_dir)
    assert found == server
    assert embedded.find(server.server_dir.with_name(".other")) is None
    embedded.kill(server)
    assert embedded.find(server.server_dir) is None
    assert is_free(server.ports.http)


def test_a_server_leaves_nothing_in_the_home(start_triton, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    monkeypatch.setenv("XDG_CACHE_HOME", cache)  # a libpython may have been fetched there
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write_model(tmp_path / "x" / "triton", "plain")
    server = start_triton(tmp_path / "x" / "triton")
    with connect(server.grpc_url) as client:
        assert [row.state for row in client.index()] == ["READY"]
    assert list((tmp_path / "home").iterdir()) == []
