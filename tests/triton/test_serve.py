import threading
from typing import Any

import onnx
import pytest

from tests.onnx_models import affine, write_model
from tritonops.errors import InputError, LoadError, TritonError
from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.triton.client.client import connect
from tritonops.triton.infer import infer, infer_tensors
from tritonops.triton.inputs.zeros import zeros
from tritonops.triton.load import load_model
from tritonops.triton.serve import load_version, serve, unload_version


def write_versions(triton, name, versions, **options):
    return write_model(triton.models_dir, name, {number: affine(1, number) for number in versions}, **options)


def served(result):
    return [row.version for row in result.versions if row.state == "READY"]


@pytest.mark.parametrize(
    ("typed", "expected"), [("2,3", [2, 3]), ("latest:2", [2, 3]), ("all", [1, 2, 3]), ("1", [1])], ids=str
)
def test_serve_chooses_the_versions_on_disk_and_waits_until_the_others_are_gone(triton, client, disk, typed, expected):
    name = f"chosen_{typed.replace(',', '_').replace(':', '_')}"
    folder = write_versions(triton, name, (1, 2, 3))
    load_model(client, name, disk=disk)
    result = serve(client, name, VersionPolicy.parse(typed), disk=disk)
    assert served(result) == expected
    assert {row.state for row in result.versions} <= {"READY", "UNAVAILABLE"}
    assert VersionPolicy.of(disk.read(name).config) == VersionPolicy.parse(typed)
    assert "# set with triton.serve" in (folder / "config.pbtxt").read_text()


def test_serving_what_is_served_changes_nothing(triton, client, disk):
    folder = write_versions(triton, "chosen_twice", (1, 2))
    serve(client, "chosen_twice", VersionPolicy.parse("1"), disk=disk)
    text = (folder / "config.pbtxt").read_text()
    assert serve(client, "chosen_twice", VersionPolicy.parse("1"), disk=disk).verdict == "current"
    assert (folder / "config.pbtxt").read_text() == text


def test_single_versions_come_and_go(triton, client, disk):
    write_versions(triton, "singles", (1, 2, 3))
    assert served(load_version(client, "singles", 2, disk=disk)) == [2]
    assert served(load_version(client, "singles", 3, disk=disk)) == [2, 3]
    assert served(unload_version(client, "singles", 2, disk=disk)) == [3]
    assert unload_version(client, "singles", 2, disk=disk).verdict == "not loaded"
    with pytest.raises(InputError, match="version 3 is the last of singles") as caught:
        unload_version(client, "singles", 3, disk=disk)
    assert "--all" in str(caught.value.hint)
    assert infer(client, "singles").responses[0][0].array[0, 0] == 3


def test_a_version_that_the_policy_picks_anyway_leaves_the_config_alone(triton, client, disk):
    folder = write_versions(triton, "newest", (1, 2))
    text = (folder / "config.pbtxt").read_text()
    assert served(load_version(client, "newest", 2, disk=disk)) == [2]
    assert "specific" not in (folder / "config.pbtxt").read_text()
    assert (folder / "config.pbtxt").read_text() == text


def test_a_version_that_is_not_on_disk_is_refused_and_nothing_is_written(triton, client, disk):
    folder = write_versions(triton, "absent", (1, 2))
    text = (folder / "config.pbtxt").read_text()
    with pytest.raises(InputError, match="absent has no version 7 on disk") as caught:
        serve(client, "absent", VersionPolicy.parse("2,7"), disk=disk)
    assert caught.value.hint == "On disk: 1, 2."
    with pytest.raises(InputError, match="no version 7"):
        load_version(client, "absent", 7, disk=disk)
    assert (folder / "config.pbtxt").read_text() == text


def test_a_version_that_does_not_load_leaves_config_and_server_as_they_were(triton, client, disk):
    folder = write_versions(triton, "put_back", (1, 2))
    (folder / "1/model.onnx").write_bytes(b"this is no model")
    load_model(client, "put_back", disk=disk)
    text = (folder / "config.pbtxt").read_text()
    with pytest.raises(LoadError, match="version 1 is at UNAVAILABLE"):
        serve(client, "put_back", VersionPolicy.parse("1"), disk=disk)
    assert (folder / "config.pbtxt").read_text() == text
    assert infer(client, "put_back").responses[0][0].array[0, 0] == 2
    with pytest.raises(LoadError):
        load_version(client, "put_back", 1, disk=disk)
    assert (folder / "config.pbtxt").read_text() == text
    assert infer(client, "put_back").responses[0][0].array[0, 0] == 2


class InterruptedAtLoad:
    """A client whose user presses Ctrl-C during a load."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        return getattr(self._client, name)

    def load(self, name, *, timeout):
        raise KeyboardInterrupt


def test_an_interrupted_choice_puts_the_config_back(triton, client, disk):
    folder = write_versions(triton, "interrupted", (1, 2))
    load_model(client, "interrupted", disk=disk)
    text = (folder / "config.pbtxt").read_text()
    interrupted: Any = InterruptedAtLoad(client)
    with pytest.raises(KeyboardInterrupt):
        serve(interrupted, "interrupted", VersionPolicy.parse("1"), disk=disk)
    assert (folder / "config.pbtxt").read_text() == text
    assert load_model(client, "interrupted", disk=disk).verdict == "loaded", "the earlier record is no longer valid"


def test_a_model_without_a_config_is_refused_with_the_way_to_one(triton, client, disk):
    folder = write_versions(triton, "configless", (1,))
    (folder / "config.pbtxt").unlink()
    with pytest.raises(InputError, match=r"configless has no config.pbtxt") as caught:
        serve(client, "configless", VersionPolicy.parse("1"), disk=disk)
    assert "inv models.config --include configless" in str(caught.value.hint)


class Caller(threading.Thread):
    """Infers without pause; counts the answers, and keeps the failures."""

    def __init__(self, url, name, version):
        super().__init__()
        self.url, self.name_, self.version = url, name, version
        self.answers, self.failures, self.stopping = [], [], threading.Event()

    def run(self):
        with connect(self.url) as client:
            metadata = client.metadata(self.name_)
            while not self.stopping.is_set():
                try:
                    ((output,),) = infer_tensors(client, metadata, zeros(metadata), version=self.version).responses
                    self.answers.append(float(output.array[0, 0]))
                except TritonError as exc:
                    self.failures.append(str(exc))

    def stop(self):
        self.stopping.set()
        self.join()


def test_no_request_fails_while_versions_come_and_go_and_a_new_one_takes_over(triton, client, disk):
    name = "under_load"
    folder = write_versions(triton, name, (1, 2, 3))
    serve(client, name, VersionPolicy.parse("3"), disk=disk)
    of_version_3, of_the_newest = Caller(triton.grpc_url, name, 3), Caller(triton.grpc_url, name, None)
    of_version_3.start()
    of_the_newest.start()
    try:
        load_version(client, name, 1, disk=disk)
        load_version(client, name, 2, disk=disk)
        unload_version(client, name, 1, disk=disk)
        unload_version(client, name, 2, disk=disk)
        (folder / "4.new").mkdir()
        onnx.save_model(affine(1, 4), folder / "4.new/model.onnx")
        (folder / "4.new").rename(folder / "4")
        assert served(load_version(client, name, 4, disk=disk)) == [3, 4]
        of_version_3.stop()
        assert served(serve(client, name, VersionPolicy.parse("4"), disk=disk)) == [4]
    finally:
        of_version_3.stop()
        of_the_newest.stop()
    assert (of_version_3.failures, of_the_newest.failures) == ([], [])
    assert set(of_version_3.answers) == {3.0}
    assert len(of_version_3.answers) > 100
    assert of_the_newest.answers[0] == 3
    assert of_the_newest.answers[-1] == 4
