"""Models sent from here, to hosts that have no way to the Hub."""

from __future__ import annotations

import os

import onnx
import pytest

from tests.onnx_models import affine
from tests.remote.project import activated
from tests.remote.wire import Wire
from tritonops.errors import TritonOpsError
from tritonops.remote.host import Host
from tritonops.remote.inventory import HostSettings
from tritonops.remote.push import pinned_files, push
from tritonops.remote.source import read_source
from tritonops.remote.survey import survey

MEGABYTES = 5


@pytest.fixture
def through_a_wire(site):
    """Reach gpu-01 through a wire that counts bytes."""
    server, config = site.servers["gpu-01"], site.fleet.config
    before = config.read_text()
    with Wire(server.port) as wire:
        key = f"[127.0.0.1]:{wire.port} {server.host_key}"
        site.fleet.known_hosts.write_text(site.fleet.known_hosts.read_text() + key)
        config.write_text(before.replace(f"Port {server.port}", f"Port {wire.port}"))
        yield wire
        config.write_text(before)


def big_model(site, name: str, scale: float) -> None:
    """A model that only this clone has: git does not track it."""
    site.clone.model(name, scale=scale)
    made = affine(scale)
    made.doc_string = os.urandom(MEGABYTES * 500_000).hex()
    file = site.clone.folder / "untracked" / f"{name}-{scale:g}.onnx"
    file.parent.mkdir(exist_ok=True)
    onnx.save_model(made, file)
    entry = site.clone.models[name][1].replace(f"models/{name}-1-{scale:g}", f"untracked/{name}-{scale:g}")
    site.clone.models[name][1] = entry
    site.clone.write_catalog()
    ignored = site.clone.folder / ".gitignore"
    ignored.write_text(ignored.read_text() + "/untracked/\n")
    site.clone.commit(f"{name} {scale}")


def download(site) -> None:
    site.clone.inv("models.download", "--overwrite")
    site.clone.commit("locked")


def test_pushed_models_are_served_and_a_small_change_sends_little(site, through_a_wire):
    big_model(site, "big", 3)
    download(site)
    site.deploy(push=True)
    assert site.answers()["big"] == 3
    assert through_a_wire.bytes > MEGABYTES * 1_000_000
    through_a_wire.bytes = 0
    site.serve(alpha=77)
    download(site)
    site.deploy(push=True)
    assert site.answers()["alpha"] == 77
    assert through_a_wire.bytes < 1_000_000
    del site.clone.models["big"]
    site.clone.write_catalog()
    site.clone.commit("no big")
    site.deploy()


def test_what_was_not_downloaded_here_cannot_be_pushed(site):
    site.deploy()
    before = site.answers()
    site.serve(alpha=78)
    with pytest.raises(TritonOpsError, match="cannot push alpha/1") as caught:
        site.deploy(push=True)
    assert caught.value.hint == "inv models.download"
    assert site.answers() == before
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
    source = read_source(site.clone.folder)
    with Host("gpu-01", ssh_config=site.fleet.config) as host:
        files = pinned_files(source, site.settings.store_dir, HostSettings("gpu-01"))
        push(host, site.settings.store_dir, survey(host, "tritonops"), files)
    assert "damaged on its way" in activated(layout, name, damage).message
    assert site.answers() == before
    site.deploy(push=True)
    assert site.answers() == {**before, "alpha": 79}
