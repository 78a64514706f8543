"""The reason of a failed load is the true one, in whole or with where the rest is, and names nobody else."""

from typing import Any, cast

import pytest

from tests.onnx_models import affine, write_model
from tests.server.python_models import ABORT_THE_SERVER, python_model
from tests.triton.projects import load_with_another_config, write_ensemble
from tritonops.errors import LoadError, ServerDiedError, TritonUnreachableError
from tritonops.server import embedded
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient, connect
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.load import load_model
from tritonops.triton.load_reasons import unserved_reason


def reason_of_load(client, name, disk):
    with pytest.raises(LoadError) as caught:
        load_model(client, name, disk=disk)
    return str(caught.value)


def test_an_ensemble_without_its_version_says_so_each_time(triton, client, disk):
    """Triton answers "no version is available", and logs the reason the first time alone."""
    write_model(triton.models_dir, "reason_step")
    load_model(client, "reason_step", disk=disk)
    write_ensemble(triton.models_dir, "reason_ensemble", "reason_step", version=3)
    for _ in range(3):
        reason = reason_of_load(client, "reason_ensemble", disk)
        assert reason == "reason_ensemble: depends on 'reason_step' whose required version 3 is not loaded."


def test_a_step_that_is_not_there_is_named_each_time(triton, client, disk):
    write_ensemble(triton.models_dir, "stepless", "no_such_step")
    for _ in range(2):
        assert reason_of_load(client, "stepless", disk).startswith("stepless: its step no_such_step is not in ")


def test_a_model_without_a_version_is_not_called_unknown_the_second_time(triton, client, disk):
    """Once its load has failed, Triton's index has it no longer."""
    folder = write_model(triton.models_dir, "versionless")
    (folder / "1").rename(folder / "one")
    for _ in range(2):
        assert "versionless: at least one version must be available" in reason_of_load(client, "versionless", disk)


def test_an_ensemble_that_lost_its_step_to_another_client_is_loaded_with_the_step(triton, client, disk):
    write_model(triton.models_dir, "lost_step", {1: affine(), 2: affine()}, extra="version_policy: { all { } }")
    write_ensemble(triton.models_dir, "losing", "lost_step", version=1)
    assert load_model(client, "losing", disk=disk).steps == ("lost_step",)
    load_with_another_config(client, "lost_step", lambda config: config.version_policy.specific.versions.append(2))
    assert not any(row.state == "READY" for row in client.index() if row.name == "losing")
    result = load_model(client, "losing", disk=disk)
    assert (result.verdict, result.steps) == ("loaded", ("lost_step",))


def test_a_version_that_is_not_served_after_a_load_has_the_reason_of_the_index_or_the_log(tmp_path):
    """Triton may call a load done, of an ensemble that lost a step for one."""
    model = write_model(tmp_path / "triton", "lost")
    disk = ServedFolder.of(model.parent, "127.0.0.1:1")
    on_disk = disk.read("lost")
    assert on_disk is not None
    indexed = ModelStatus("lost", 1, "UNAVAILABLE", "the reason\n\nAt:\n  a.py(1): f\n")
    assert unserved_reason([indexed], on_disk, disk) == "version 1 is not served: the reason"
    unloaded = ModelStatus("lost", 1, "UNAVAILABLE", "unloaded")
    assert unserved_reason([unloaded], on_disk, disk) is None
    disk.log.parent.mkdir()
    disk.log.write_text(
        "E1 x.cc:1] \"Invalid argument: ensemble 'lost' depends on 'a' whose required version 1 is gone\"\n"
    )
    assert unserved_reason([unloaded], on_disk, disk) == (
        "version 1 is not served: depends on 'a' whose required version 1 is gone"
    )
    assert unserved_reason([ModelStatus("lost", 1, "READY", None)], on_disk, disk) is None


def test_a_long_reason_is_cut_and_says_where_the_rest_is(triton, client, disk):
    python_model(triton.models_dir, "talkative", initialize="raise RuntimeError('the reason ' + 'x' * 3000)")
    first, *rest = reason_of_load(client, "talkative", disk).splitlines()
    assert first.startswith("talkative: version 1 is at UNAVAILABLE state: Internal: RuntimeError: the reason xxx")
    assert len(first) == 500
    assert rest == [f"(the rest: {disk.log})"]


def test_a_server_that_died_of_a_load_says_so_with_its_last_words(tmp_path, start_triton):
    models_dir = tmp_path / "triton"
    write_model(models_dir, "innocent")
    server = start_triton(models_dir)
    words = "print('these are my last words', flush=True); "
    python_model(models_dir, "deadly", initialize=words + ABORT_THE_SERVER)
    with connect(server.grpc_url) as client, pytest.raises(ServerDiedError) as caught:
        load_model(client, "deadly", disk=ServedFolder.of(models_dir, server.grpc_url))
    message = str(caught.value)
    assert message.startswith(f"Triton at {server.grpc_url} died while it loaded deadly: it got the signal SIGABRT\n")
    assert "\n  these are my last words\n" in message
    assert "innocent" not in message
    assert caught.value.exit_code == 1
    embedded.kill(server)


@pytest.mark.parametrize("kind", ["http", "metrics"])
def test_an_http_port_is_recognized(triton, kind):
    url = f"127.0.0.1:{getattr(triton.ports, kind)}"
    with (
        connect(url) as client,
        pytest.raises(TritonUnreachableError, match="it speaks HTTP, and this needs gRPC") as caught,
    ):
        client.index()
    assert "the port of its gRPC API" in str(caught.value.hint)


class Unready:
    """A Triton of a later release, whose models may say themselves that they are not ready."""

    def __init__(self, server):
        self._server = server

    def __getattr__(self, name):
        return getattr(self._server, name)

    def is_model_ready(self, name, version, **_):
        return version != "2"


def test_a_model_that_says_itself_that_it_is_not_ready_is_a_failed_load(triton, client, disk):
    write_model(triton.models_dir, "unready", {1: affine(), 2: affine()}, extra="version_policy: { all { } }")
    later = TritonClient(client.url, cast("Any", Unready(client._server)))
    for _ in range(2):
        expected = "unready: version 2 is loaded, and says itself that it is not ready"
        assert reason_of_load(later, "unready", disk) == expected
    assert load_model(client, "unready", disk=disk).verdict == "loaded"
