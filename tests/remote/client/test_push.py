"""Models sent from here, to hosts that have no way to the Hub."""

from __future__ import annotations

import pytest

from tests.remote.project import activated
from tests.remote.wire import Wire
from tritonops.errors import InputError, TritonOpsError
from tritonops.remote.client.checkout import read_checkout
from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.client.push import pinned_files, push
from tritonops.remote.ssh.host import Host

MEGABYTES = 5


@pytest.fixture
def wire(site):
    """Counts the bytes between here and gpu-01."""
    with Wire(site.servers["gpu-01"].port) as wire, site.through({"gpu-01": wire.port}):
        yield wire


def download(site) -> None:
    site.clone.inv("models.download", "--overwrite")
    site.clone.commit("locked")


def test_pushed_models_are_served_and_a_small_change_sends_little(site, wire):
    site.clone.model("big", scale=3, padding=MEGABYTES * 1_000_000)
    site.clone.ignore("/models/big*")  # so that only a push has it
    download(site)
    site.deploy(push=True)
    assert site.answers()["big"] == 3
    assert wire.bytes > MEGABYTES * 1_000_000
    wire.bytes = 0
    site.serve(alpha=77)
    download(site)
    site.deploy(push=True)
    assert site.answers()["alpha"] == 77
    assert wire.bytes < 1_000_000
    del site.clone.models["big"]
    site.clone.write_catalog()
    site.clone.commit("no big")
    site.deploy()


def test_what_was_not_downloaded_here_cannot_be_pushed(site):
    download(site)
    site.deploy()
    before = site.answers()
    site.serve(alpha=78)
    with pytest.raises(TritonOpsError, match="cannot push alpha/1") as caught:
        site.deploy(push=True)
    assert caught.value.hint == "inv models.download"
    assert site.answers() == before
    site.deploy()


def test_a_model_that_git_does_not_track_is_refused_before_anything_is_sent_and_can_be_pushed(site):
    site.deploy()
    before, root = site.answers(), site.servers["gpu-01"].root
    there = sorted(path.name for path in root.glob("releases/*"))
    site.clone.model("hidden", scale=80)
    site.clone.ignore("/models/hidden*")
    site.clone.commit("hidden")
    with pytest.raises(InputError, match=r"hidden/1: .* is not tracked by git") as caught:
        site.deploy()
    assert "--push" in str(caught.value.hint)
    assert sorted(path.name for path in root.glob("releases/*")) == there
    download(site)
    site.deploy(push=True)
    assert site.answers() == {**before, "hidden": 80}
    del site.clone.models["hidden"]
    site.clone.write_catalog()
    site.clone.commit("nothing hidden")
    site.deploy()


def test_a_pushed_file_that_arrives_damaged_is_refused_and_sent_again(site):
    site.deploy()
    before = site.answers()
    site.serve(alpha=79)
    download(site)
    incoming = site.servers["gpu-01"].root / "shared/.store/incoming"

    def damage(line: str) -> None:
        if line.startswith("keep what"):
            for file in incoming.iterdir():
                file.chmod(0o600)
                file.write_bytes(b"damaged")

    layout, name = site.stage()
    checkout = read_checkout(site.clone.folder)
    with Host("gpu-01", ssh_config=site.fleet.config) as host:
        files = pinned_files(checkout, site.settings.store_dir, HostSettings("gpu-01"))
        push(host, inspect_host(host), files)
    assert "damaged on its way" in activated(layout, name, damage).message
    assert site.answers() == before
    site.deploy(push=True)
    assert site.answers() == {**before, "alpha": 79}
