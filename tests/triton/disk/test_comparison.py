"""What a server serves compared with a model's folder, without a server."""

import pytest

from tests.onnx_models import affine, write_model
from tests.triton.stub_client import StubClient, row
from tritonops.triton.disk.comparison import (
    changed_config,
    changed_versions,
    config_diff,
    record_if_served,
    save_record,
    stale_reason,
    version_mismatch,
    versions,
)
from tritonops.triton.disk.served_folder import ServedFolder

CONFIG = 'name: "m" backend: "onnxruntime" max_batch_size: 8'


@pytest.fixture
def disk(tmp_path):
    folder = write_model(tmp_path / "triton", "m", {1: affine(), 2: affine()})
    (folder / "config.pbtxt").write_text(CONFIG + " version_policy: { all { } }")
    return ServedFolder.of(tmp_path / "triton", StubClient.url)


@pytest.fixture
def client():
    served = CONFIG + " version_policy: { all { } } instance_group { count: 1 }"
    return StubClient(row("m", 1), row("m", 2), configs={"m": served})


@pytest.mark.parametrize(
    ("rows", "mismatch"),
    [
        ([row("m", 1), row("m", 2)], None),
        ([row("m", 1)], "version 2 is not served"),
        ([row("m", 1), row("m", 2, "UNAVAILABLE", "no memory")], "version 2 is not served: no memory"),
        ([row("m", 1), row("m", 2, "UNAVAILABLE", "unloaded")], "version 2 is not served"),
        (
            [row("m", 1), row("m", 2), row("m", 3)],
            "version 3 is served, though version_policy leaves it out",
        ),
    ],
)
def test_a_version_that_should_be_served_and_is_not_is_named_and_the_other_way_round(disk, rows, mismatch):
    assert version_mismatch(rows, disk.read("m")) == mismatch


def test_versions_are_counted_in_words():
    assert (versions([3]), versions([1, 2])) == ("version 3 is", "versions 1, 2 are")


def test_what_triton_completes_is_no_difference_and_another_value_is(disk, client):
    assert config_diff(client, disk.read("m")) is None
    client.served_configs["m"].max_batch_size = 4
    diff = config_diff(client, disk.read("m"))
    assert diff is not None
    assert diff.splitlines()[-2:] == ["-max_batch_size: 4", "+max_batch_size: 8"]


def test_a_model_is_current_until_a_file_the_config_or_the_server_changes(disk, client):
    save_record(client, disk, disk.read("m"))
    record = disk.record("m")
    assert stale_reason(client, client.rows, disk.read("m"), record) is None

    (disk.models_dir / "m/2/model.onnx").write_bytes(b"another")
    assert changed_versions(disk.read("m"), record) == [2]
    assert stale_reason(client, client.rows, disk.read("m"), record) == "files changed since the load of version 2"


def test_another_comment_is_no_change_and_another_meaning_is_shown_as_a_diff(disk, client):
    save_record(client, disk, disk.read("m"))
    config = disk.models_dir / "m/config.pbtxt"
    text = config.read_text()
    config.write_text(f"# a comment\n{text}")
    assert changed_config(client, disk.read("m"), disk.record("m")) is None
    config.write_text(text.replace("max_batch_size: 8", "max_batch_size: 4"))
    assert "+" + config.read_text() in str(changed_config(client, disk.read("m"), disk.record("m")))


def test_the_config_of_another_clients_load_is_shown(disk, client):
    save_record(client, disk, disk.read("m"))
    client.served_configs["m"].instance_group[0].count = 2
    assert "instance_group" in str(changed_config(client, disk.read("m"), disk.record("m")))


def test_only_what_is_served_as_on_disk_is_recorded(disk, client):
    client.served_configs["m"].max_batch_size = 4
    record_if_served(client, disk, disk.read("m"))
    assert disk.record("m") is None
    client.served_configs["m"].max_batch_size = 8
    record_if_served(client, disk, disk.read("m"))
    assert disk.record("m").files == disk.read("m").files
