"""A model that would not load, or would answer wrong, is found before the switch."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest

from tests.remote.project import Site, activated
from tritonops.errors import DeployError, RolledBackError
from tritonops.remote.host import trial
from tritonops.remote.layout.paths import Layout
from tritonops.server import embedded
from tritonops.server.ports import free_ports
from tritonops.settings import load_settings

# What `models.check` has no objection to, since only the embedded ONNX backend is one in Python, with an environment.
REFUSED = """
parameters { key: "EXECUTION_ENV_PATH" value: { string_value: "/nonexistent/env.tar.gz" } }
"""


@pytest.fixture
def expecting(site):
    """Let the smoke test of alpha expect this answer to 1; it is gone afterwards."""
    path = site.clone.folder / "triton-config/alpha/smoke.json"

    def expect(answer: float) -> None:
        path.write_text(json.dumps({"inputs": {"x": [[1, 1, 1]]}, "outputs": {"y": [[answer] * 3]}}))
        site.clone.commit(f"alpha answers {answer}")

    yield expect
    path.unlink(missing_ok=True)
    site.clone.commit("no smoke test")
    site.deploy()


def test_no_live_request_meets_a_model_that_answers_wrong(site, expecting):
    site.deploy()
    before = site.answers()
    expecting(501)
    with site.inferring("alpha") as observed:
        site.serve(alpha=500, beta=500)
        with pytest.raises(DeployError, match="smoke tests failed") as caught:
            site.deploy()
    assert not isinstance(caught.value, RolledBackError)
    assert observed.answers == {before["alpha"]}
    assert not observed.failures
    assert site.answers() == before
    assert no_trial_is_left(site)
    site.serve(alpha=501)
    assert site.deploy().changed == ("alpha", "beta")


def test_a_model_that_does_not_load_fails_no_live_request(site):
    site.deploy()
    before = site.answers()
    config = site.clone.folder / "triton-config/beta/cpu.pbtxt"
    good = config.read_text()
    with site.inferring("alpha") as observed:
        site.serve(alpha=before["alpha"] + 1)
        config.write_text(f"{good}{REFUSED}")
        site.clone.commit("beta is broken")
        with pytest.raises(DeployError, match="canonical path") as caught:
            site.deploy()
    config.write_text(good)
    site.clone.commit("beta is fixed")
    assert not isinstance(caught.value, RolledBackError)
    assert observed.answers == {before["alpha"]}
    assert not observed.failures
    site.deploy()


def test_without_memory_for_a_trial_that_is_reported_and_a_wrong_model_is_rolled_back(site, expecting, monkeypatch):
    site.deploy()
    before = site.answers()
    lines: list[str] = []
    expecting(601)
    site.serve(alpha=600)
    monkeypatch.setattr(trial, "_free_memory", lambda: 100_000_000)
    layout, name = site.stage()
    activation = activated(layout, name, lines.append)
    assert activation.result == "rolled back"
    assert any("not tried before the switch: 572 MiB of memory needed, 95 MiB free" in line for line in lines)
    assert site.answers() == before
    site.serve(alpha=601)


def test_a_trial_that_was_killed_is_ended_by_the_next_one(site):
    site.deploy()
    site.serve(alpha=71)
    layout, name = site.stage()
    assert layout.current
    folder = layout.current.path / "trial"
    (folder / "triton").mkdir(parents=True)
    left = embedded.start(folder / "triton", folder / ".server", ports=free_ports())
    try:
        assert activated(layout, name).result == "done"
        assert not left.process.is_alive()
        assert not folder.exists()
    finally:
        embedded.kill(left)


def test_a_rollback_tries_nothing_that_has_served(site):
    from tritonops.remote.rollback import roll_back_host
    from tritonops.remote.ssh.host import Host

    site.serve(alpha=81)
    site.deploy()
    site.serve(alpha=82)
    site.deploy()
    lines: list[str] = []
    with Host("gpu-01", ssh_config=site.fleet.config) as host:
        roll_back_host(host, to=None, on_step=lines.append)
    assert not any(line.startswith("try ") for line in lines)
    site.deploy()


def no_trial_is_left(site: Site) -> bool:
    layout = Layout(site.servers["gpu-01"].root)
    return not list(layout.root.glob("releases/*/trial"))


ENSEMBLE = 'platform: "ensemble"\nensemble_scheduling {{ step: [ {steps} ] }}\n'


def test_a_trial_takes_other_ports_where_another_server_took_its_own(tmp_path, monkeypatch, embedded_runtime):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = free_ports()
        chosen = iter([replace(free, grpc=taken.getsockname()[1]), replace(free, http=taken.getsockname()[1]), free])
        monkeypatch.setattr(trial, "free_ports", lambda: next(chosen))
        (tmp_path / "triton").mkdir()
        settings = load_settings(tmp_path, environ={"TRITON_MODELS_DIR": str(tmp_path / "triton")})
        server = trial._start_on_free_ports(settings.models_dir, settings)
        try:
            assert server.ports == free
        finally:
            embedded.kill(server)


@pytest.mark.parametrize(
    ("changed", "tried"),
    [
        (["alone"], ["alone"]),
        (["one"], ["both", "one", "two"]),
        (["both"], ["both", "one", "two"]),
        (["calls"], ["alone", "both", "calls", "one", "two"]),
        (["removed"], []),
    ],
)
def test_a_model_is_tried_with_those_that_it_needs_and_that_need_it(tmp_path, changed, tried):
    configs = dict.fromkeys(("alone", "one", "two"), 'backend: "onnxruntime"\n')
    configs["both"] = ENSEMBLE.format(steps=", ".join(f'{{ model_name: "{step}" }}' for step in ("one", "two")))
    configs["calls"] = 'backend: "python"\n'
    for name, config in configs.items():
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text(f'name: "{name}"\n{config}')
    assert trial._affected(tmp_path, changed, all_=False) == tried
    assert trial._affected(tmp_path, [], all_=True) == sorted(configs)
