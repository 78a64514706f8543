"""A deploy is proved by reading back manifest, files, load, config and answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.remote.project import Site
from tritonops.errors import DeployError, RolledBackError, UnprovenError
from tritonops.remote.client.checkout import read_checkout
from tritonops.remote.client.proof import BY_THE_HOST, FROM_HERE, prove
from tritonops.remote.layout.paths import Layout
from tritonops.remote.layout.records import ActivationRecord, recorded_loads
from tritonops.remote.rollback import roll_back_host
from tritonops.remote.ssh.host import Host
from tritonops.server import embedded


def current(site: Site) -> ActivationRecord:
    release = Layout(site.servers["gpu-01"].root).current
    assert release
    assert release.activation
    return release.activation


def served_model(site: Site, name: str = "alpha"):
    return site.servers["gpu-01"].root / "shared/triton" / name / "1/model.onnx"


def overwrite(path, content: bytes) -> None:
    """Put other bytes into the very file, so that its size and its times of modification stay."""
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_two_checkouts_that_only_their_bytes_tell_apart_are_two_deploys(site):
    """CI worktrees of one second, SOURCE_DATE_EPOCH, Nix: sizes and times are equal, and the answers are not."""
    model = site.clone.folder / "models/alpha-1-6.onnx"
    for scale in (6, 8, 6):
        site.clone.model("alpha", scale=scale)
        made = site.clone.folder / f"models/alpha-1-{scale}.onnx"
        if made != model:
            made.replace(model)
        entry = site.clone.models["alpha"].replace(made.name, model.name)
        site.clone.models["alpha"] = entry
        site.clone.write_catalog()
        site.clone.commit("One second")
        for path in (model, site.clone.folder / "models.toml"):
            os.utime(path, ns=(10**18, 10**18))
        assert site.deploy().what == "deployed"
        assert site.answers()["alpha"] == scale


def test_the_digest_of_what_serves_is_shown_everywhere_and_is_that_of_the_checkout(site):
    site.serve(alpha=31)
    (result,) = json.loads(site.clone.inv("remote.deploy", "--host", "gpu-01", "--json").stdout)
    digest = read_checkout(site.clone.folder).manifest.digest
    assert (result["result"], result["digest"], result["proof"]) == ("deployed", digest, FROM_HERE)
    (status,) = json.loads(site.clone.inv("remote.status", "--host", "gpu-01", "--json").stdout)
    kept = json.loads(site.clone.inv("remote.releases", "--host", "gpu-01", "--json").stdout)[-1]
    entry = json.loads(site.clone.inv("remote.audit", "--host", "gpu-01", "--json").stdout)[-1]
    assert digest == status["digest"] == kept["digest"] == entry["digest"]
    assert digest[:12] in site.clone.inv("remote.status", "--host", "gpu-01").stdout
    root = site.servers["gpu-01"].root
    sha256sum = subprocess.run(["sha256sum", root / "current/manifest"], capture_output=True, text=True, check=True)
    assert sha256sum.stdout.split()[0] == digest


def test_each_model_has_a_record_of_its_load_by_the_process_that_serves(site):
    site.serve(alpha=32, beta=32)
    site.deploy()
    before = recorded_loads(current(site))
    server = embedded.find(site.servers["gpu-01"].root / "shared/.server")
    assert server
    assert {load.server for load in before.values()} == {f"pid {server.process.pid}, started {server.process.started}"}
    site.serve(beta=33)
    site.deploy()
    after = recorded_loads(current(site))
    assert after["alpha"].files == before["alpha"].files
    assert after["alpha"].loaded == before["alpha"].loaded
    assert after["beta"].files != before["beta"].files
    assert after["beta"].loaded >= before["beta"].loaded


def test_a_model_file_that_was_overwritten_in_place_is_seen_and_replaced(site):
    site.serve(alpha=34)
    site.deploy()
    path = served_model(site)
    site.clone.model("other", scale=35)
    wrong = (site.clone.folder / "models/other-1-35.onnx").read_bytes()
    del site.clone.models["other"]
    (site.clone.folder / "models/other-1-35.onnx").unlink()
    shutil.rmtree(site.clone.folder / "triton-config/other")
    site.clone.write_catalog()
    right = path.read_bytes()
    overwrite(path, wrong[: len(right)].ljust(len(right), b"\0"))
    assert "changed on the host" in site.clone.inv("remote.plan", "--host", "gpu-01", check=False).stdout
    assert site.deploy().what == "deployed"
    assert path.read_bytes() == right
    assert site.answers()["alpha"] == 34


def test_what_was_swapped_loaded_by_hand_and_swapped_back_is_loaded_again(site):
    site.serve(alpha=36)
    site.deploy()
    path = served_model(site)
    aside = path.with_name("model.aside")
    path.rename(aside)
    path.write_bytes((site.clone.folder / "models/beta-1-1.onnx").read_bytes())
    site.clone.inv("triton.load", "alpha", "--host", "gpu-01")
    assert site.answers()["alpha"] != 36
    aside.replace(path)
    assert site.deploy().what == "deployed"
    assert site.answers()["alpha"] == 36
    assert site.deploy().what == "nothing to do"


def test_a_restart_and_a_failed_deploy_leave_nothing_to_do(site):
    site.serve(alpha=37)
    site.deploy()
    site.clone.inv("remote.restart", "--host", "gpu-01", "--yes")
    assert site.deploy().what == "nothing to do"
    smoke = site.clone.folder / "triton-config/alpha/smoke.json"
    for text, error in (("{", DeployError), ('{"outputs": {"y": [[9, 9, 9]]}}', RolledBackError)):
        smoke.write_text(text)
        site.clone.commit("Wrong")
        with pytest.raises(error):
            site.deploy()
        smoke.unlink()
        site.clone.commit("Right")
        assert site.deploy().what == "nothing to do"
    assert site.answers()["alpha"] == 37


def proved(site: Site, *, digest: str = "", config_dir: Path | None = None) -> str:
    release = Layout(site.servers["gpu-01"].root).current
    assert release
    record = replace(release.record, **{"digest": digest} if digest else {})
    config_dir = config_dir or site.clone.folder / "triton-config"
    with Host("gpu-01", ssh_config=site.fleet.config) as host:
        return prove(host, record, current(site), config_dir=config_dir)


def test_a_broken_link_of_the_chain_is_named(site, tmp_path):
    site.serve(alpha=38)
    site.deploy()
    assert proved(site) == FROM_HERE
    with pytest.raises(UnprovenError, match=r"manifest: its digest is .*, that of what was sent is 0000"):
        proved(site, digest="0" * 64)
    (tmp_path / "alpha").mkdir()
    (tmp_path / "alpha/smoke.json").write_text('{"outputs": {"y": [[9, 9, 9]]}}')
    with pytest.raises(UnprovenError, match="answer: the smoke test of alpha"):
        proved(site, config_dir=tmp_path)
    site.clone.inv("triton.unload", "alpha", "--host", "gpu-01", "--yes")
    with pytest.raises(UnprovenError, match="answer: alpha/1 is not served"):
        proved(site)
    site.clone.inv("triton.load", "alpha", "--host", "gpu-01")
    with pytest.raises(UnprovenError, match="load: alpha was loaded by another command since"):
        proved(site)
    assert site.deploy().what == "deployed"
    assert proved(site) == FROM_HERE
    config = served_model(site).parents[1] / "config.pbtxt"
    before = config.read_text()
    overwrite_config(config, f"{before}\ndynamic_batching {{ }}\n")
    with pytest.raises(UnprovenError, match="link: somebody changed the files"):
        proved(site)
    site.clone.inv("triton.load", "alpha", "--host", "gpu-01")
    with pytest.raises(UnprovenError, match="config: alpha is served with another config"):
        proved(site)
    site.deploy()
    site.clone.inv("remote.restart", "--host", "gpu-01", "--yes")
    with pytest.raises(UnprovenError, match=r"load: alpha was loaded by pid .*, pid .* serves now"):
        proved(site)


def overwrite_config(path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def test_a_deploy_whose_proof_fails_is_not_called_deployed(site, monkeypatch):
    site.serve(alpha=39)

    def tampered(*arguments, **options):
        path = served_model(site)
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        return prove(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("tritonops.remote.client.proof.prove", tampered)
        with pytest.raises(UnprovenError, match="link: somebody changed the files"):
            site.deploy()
    assert site.deploy().what == "deployed"
    assert site.answers()["alpha"] == 39


@pytest.fixture
def closed(site):
    """gpu-01 allows no port forwarding."""
    server = site.servers["gpu-01"]
    config = server.config.read_text()
    server.stop()
    server.config.write_text(f"{config}AllowTcpForwarding no\n")
    server.start()
    yield site
    server.stop()
    server.config.write_text(config)
    server.start()


def test_without_port_forwarding_the_host_asks_its_own_triton_and_the_result_says_so(closed):
    smoke = closed.clone.folder / "triton-config/alpha/smoke.json"
    smoke.write_text('{"shapes": {"y": [1, 3]}}')
    closed.serve(alpha=40)
    result = closed.deploy()
    assert (result.what, result.proof) == ("deployed", BY_THE_HOST)
    assert closed.answers()["alpha"] == 40
    assert closed.deploy().what == "nothing to do"
    (status,) = json.loads(closed.clone.inv("remote.status", "--host", "gpu-01", "--json").stdout)
    assert (status["triton"], status["served"]) == ("up", status["expected"])
    done = closed.clone.inv("triton.list", "--host", "gpu-01", check=False)
    assert done.returncode
    assert "allows no port forwarding" in done.stderr
    with Host("gpu-01", ssh_config=closed.fleet.config) as host:
        back = roll_back_host(host, to=None, on_step=lambda line: None)
    assert (back.what, back.proof) == ("rolled back", BY_THE_HOST)
    smoke.unlink()
    closed.clone.commit("No smoke test")
    closed.deploy()
