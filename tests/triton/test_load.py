import os
import shutil
import threading
from pathlib import Path

import onnx
import pytest

from tests.onnx_models import affine, write_model
from tests.processes import wait_for
from tests.triton.projects import load_with_another_config, write_ensemble
from tritonops.errors import InputError, LoadError, NotAsOnDiskError, RepositoryError, UnknownModelError
from tritonops.models.configs.version_policy import VersionPolicy, set_version_policy
from tritonops.server import embedded
from tritonops.triton.client.client import connect
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.infer import infer
from tritonops.triton.list import ORPHAN, list_models
from tritonops.triton.load import load_model
from tritonops.triton.unload import unload_model


def states(result):
    return [(row.version, row.state) for row in result.versions]


def answer(client, name, version=None):
    """What y = x + offset says to zeros: the offset."""
    return float(infer(client, name, version=version).responses[0][0].array[0, 0])


def put(folder: Path, offset: float, version: int = 1) -> None:
    """Replace a version's file as an installation does: by a rename."""
    onnx.save_model(affine(1, offset), folder / "new.onnx")
    (folder / "new.onnx").replace(folder / str(version) / "model.onnx")


def test_load_ends_when_the_model_serves_and_unload_when_it_is_gone(triton, client, disk):
    write_model(triton.models_dir, "comes_and_goes", {3: affine()})
    loaded = load_model(client, "comes_and_goes", disk=disk)
    assert (loaded.verdict, states(loaded)) == ("loaded", [(3, "READY")])
    unloaded = unload_model(client, "comes_and_goes", disk=disk)
    assert unloaded.verdict == "unloaded"
    assert [(row.state, row.reason) for row in unloaded.versions] == [("UNAVAILABLE", "unloaded")]
    assert unload_model(client, "comes_and_goes", disk=disk).verdict == "not loaded"


def test_a_model_that_the_server_does_not_have_is_an_error_with_the_near_misses(triton, client):
    write_model(triton.models_dir, "nutriscore_near")
    for change in (load_model, unload_model):
        with pytest.raises(UnknownModelError, match="nutriscor_near") as caught:
            change(client, "nutriscor_near")
        assert "nutriscore_near" in str(caught.value.hint)


def test_what_was_loaded_from_these_files_is_current_until_they_change(triton, client, disk):
    folder = write_model(triton.models_dir, "current", {1: affine(1, 10)})
    assert load_model(client, "current", disk=disk).verdict == "loaded"
    answer(client, "current")
    wait_for(lambda: client.statistics("current")[0].inferences)  # counted a moment after the answer
    assert load_model(client, "current", disk=disk).verdict == "current"
    (counted,) = client.statistics("current")
    assert counted.inferences == 1, "it was reloaded"
    put(folder, 20)
    assert load_model(client, "current", disk=disk).verdict == "loaded"
    assert answer(client, "current") == 20


def test_an_older_file_put_back_under_the_same_version_is_served(triton, client, disk, tmp_path):
    name = "rolled_back"
    for tree, offset in (("older", 10), ("newer", 20)):
        put(write_model(tmp_path / tree, name), offset)
    live = triton.models_dir / name
    live.symlink_to(tmp_path / "newer" / name)
    load_model(client, name, disk=disk)
    assert answer(client, name) == 20

    live.unlink()
    live.symlink_to(tmp_path / "older" / name)
    client.load(name, timeout=30)
    assert answer(client, name) == 20, "Triton's own load does nothing: to it, this tree is not newer"
    assert load_model(client, name, disk=disk).verdict == "loaded"
    assert answer(client, name) == 10


def test_an_older_file_is_served_also_where_nobody_noted_what_was_loaded(triton, client, disk, tmp_path):
    name = "rolled_back_unnoted"
    for tree, offset in (("older", 10), ("newer", 20)):
        put(write_model(tmp_path / tree, name), offset)
    live = triton.models_dir / name
    live.symlink_to(tmp_path / "newer" / name)
    client.load(name, timeout=30)
    live.unlink()
    live.symlink_to(tmp_path / "older" / name)
    load_model(client, name, disk=disk)
    assert answer(client, name) == 10


def test_a_file_of_the_future_does_not_hide_a_change(triton, client, disk):
    folder = write_model(triton.models_dir, "from_the_future")
    put(folder, 10)
    os.utime(folder / "1/model.onnx", (4e9, 4e9))
    load_model(client, "from_the_future", disk=disk)
    put(folder, 20)
    assert load_model(client, "from_the_future", disk=disk).verdict == "loaded"
    assert answer(client, "from_the_future") == 20


def test_a_config_on_an_older_tree_is_touched_and_served(triton, client, disk, tmp_path):
    """The same files, linked, and another config beside them: only the served config shows that nothing happened."""
    name = "older_config"
    older = write_model(tmp_path / "older", name, extra='parameters { key: "which" value { string_value: "older" } }')
    newer = write_model(tmp_path / "newer", name, extra='parameters { key: "which" value { string_value: "newer" } }')
    (newer / "1/model.onnx").unlink()
    os.link(older / "1/model.onnx", newer / "1/model.onnx")
    live = triton.models_dir / name
    os.utime(newer / "config.pbtxt", (3e9, 3e9))
    live.symlink_to(newer)
    load_model(client, name, disk=disk)
    live.unlink()
    live.symlink_to(older)
    assert load_model(client, name, disk=disk).verdict == "loaded"
    assert client.config(name).parameters["which"].string_value == "older"


def test_the_config_of_another_clients_load_is_replaced(triton, client, disk):
    """It is on no disk, the file says nothing of this field, and a plain load leaves it as it is."""
    write_model(triton.models_dir, "overridden")
    load_model(client, "overridden", disk=disk)
    load_with_another_config(client, "overridden", lambda config: config.dynamic_batching.SetInParent())
    client.load("overridden", timeout=30)
    assert client.config("overridden").HasField("dynamic_batching")
    assert load_model(client, "overridden", disk=disk).verdict == "loaded"
    assert not client.config("overridden").HasField("dynamic_batching")
    assert load_model(client, "overridden", disk=disk).verdict == "current"


def test_a_load_that_fails_gives_tritons_own_reason_and_says_what_goes_on_being_served(triton, client, disk):
    folder = write_model(triton.models_dir, "not_onnx")
    load_model(client, "not_onnx", disk=disk)
    (folder / "1/model.onnx").write_bytes(b"this is no model")
    with pytest.raises(LoadError, match=r"not_onnx.*UNAVAILABLE") as caught:
        load_model(client, "not_onnx", disk=disk)
    assert caught.value.hint == "Still served, as loaded before: version 1."
    assert answer(client, "not_onnx") == 0
    with pytest.raises(LoadError):
        load_model(client, "not_onnx", disk=disk)
    unload_model(client, "not_onnx")


def test_a_config_that_does_not_parse_is_named_with_line_and_column(triton, client, disk):
    folder = write_model(triton.models_dir, "broken_config")
    (folder / "config.pbtxt").write_text('backend: "onnxruntime"\nmax_batch_sizes: 8\n')
    with pytest.raises(LoadError, match=r"cannot read its configuration: .*config.pbtxt.*max_batch_sizes") as caught:
        load_model(client, "broken_config", disk=disk)
    assert "2" in str(caught.value)


def test_a_server_that_reads_another_folder_is_not_called_loaded(triton, client, tmp_path):
    write_model(triton.models_dir, "elsewhere", max_batch_size=8)
    write_model(tmp_path / "triton", "elsewhere", max_batch_size=4)
    with pytest.raises(NotAsOnDiskError, match=r"-max_batch_size: 8\n\+max_batch_size: 4") as caught:
        load_model(client, "elsewhere", disk=ServedFolder.of(tmp_path / "triton", client.url))
    assert caught.value.exit_code == 1


def test_a_model_of_a_folder_that_the_server_does_not_read_is_not_in_its_repository(client, tmp_path):
    write_model(tmp_path / "triton", "of_another_folder")
    with pytest.raises(LoadError, match=rf"repository has no such model; does it read {tmp_path}/triton\?"):
        load_model(client, "of_another_folder", disk=ServedFolder.of(tmp_path / "triton", client.url))


def test_versions_that_the_policy_leaves_out_are_dropped_while_the_others_serve(triton, client, disk):
    folder = write_model(triton.models_dir, "policies", {number: affine(1, number) for number in (1, 2, 3)})
    load_model(client, "policies", disk=disk)
    config = (folder / "config.pbtxt").read_text()
    for policy, served in (("all", [1, 2, 3]), ("1,3", [1, 3]), ("latest:2", [2, 3])):
        (folder / "config.pbtxt").write_text(set_version_policy(config, VersionPolicy.parse(policy)))
        result = load_model(client, "policies", disk=disk)
        assert [row.version for row in result.versions if row.state == "READY"] == served
        assert answer(client, "policies", 3) == 3


def test_two_who_load_the_same_model_both_end_with_it_served(triton, client, disk):
    write_model(triton.models_dir, "popular", extra="instance_group [{ count: 3 kind: KIND_CPU }]")
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(load_model(client, "popular", disk=disk))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [states(result) for result in results] == [[(1, "READY")]] * 3


def test_what_is_served_without_a_folder_is_listed_and_can_be_unloaded(triton, client, disk):
    shutil.rmtree(write_loaded(triton, client, "orphan"))
    rows = {row.name: row for row in list_models(client)}
    assert (rows["orphan"].state, rows["orphan"].reason) == ("READY", ORPHAN)
    assert unload_model(client, "orphan", disk=disk).verdict == "unloaded"
    assert "orphan" not in {row.name for row in list_models(client)}


def write_loaded(triton, client, name):
    folder = write_model(triton.models_dir, name)
    load_model(client, name)
    return folder


def test_a_step_of_a_served_ensemble_is_not_unloaded_under_it(triton, client, disk):
    write_model(triton.models_dir, "a_step", {1: affine(1, 5)})
    write_ensemble(triton.models_dir, "an_ensemble", "a_step")
    load_model(client, "an_ensemble", disk=disk)
    assert answer(client, "an_ensemble") == 5
    with pytest.raises(InputError, match="a_step: it is a step of an_ensemble"):
        unload_model(client, "a_step", disk=disk)
    unload_model(client, "an_ensemble", disk=disk)
    assert unload_model(client, "a_step", disk=disk).verdict == "unloaded"


def test_a_folder_that_is_not_ours_to_touch_is_an_error_with_a_way_out(triton, client, disk, monkeypatch):
    folder = write_model(triton.models_dir, "untouchable")
    load_model(client, "untouchable", disk=disk)
    put(folder, 20)

    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    # The tests may run as root, whom no file system refuses this.
    monkeypatch.setattr(os, "utime", refuse)
    with pytest.raises(RepositoryError, match="cannot touch") as caught:
        load_model(client, "untouchable", disk=disk)
    assert "inv triton.unload untouchable" in str(caught.value.hint)


def test_what_a_start_loaded_is_known_from_then_on(tmp_path, start_triton):
    folder = write_model(tmp_path / "triton", "restarted", {1: affine(1, 10)})
    server = start_triton(folder.parent)
    disk = ServedFolder.of(folder.parent, server.grpc_url)
    with connect(server.grpc_url) as client:
        load_model(client, "restarted", disk=disk)
    embedded.kill(server)
    put(folder, 20)
    server = embedded.start(folder.parent, folder.parent.with_name(".server"), ports=server.ports)
    try:
        with connect(server.grpc_url) as client:
            assert load_model(client, "restarted", disk=disk).verdict == "current"
            assert answer(client, "restarted") == 20
            load_with_another_config(client, "restarted", lambda config: config.dynamic_batching.SetInParent())
            assert load_model(client, "restarted", disk=disk, skip_touch=True).verdict == "loaded"
            assert not client.config("restarted").HasField("dynamic_batching")
    finally:
        embedded.kill(server)
