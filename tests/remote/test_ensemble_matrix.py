"""Deploys and rollbacks under clients of ensembles: no request fails, or one is named and nothing was switched."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable

import onnx
import pytest

from tests.onnx_models import affine, config_pbtxt
from tests.remote.project import Site
from tests.triton.ensemble_matrix import asked_all_the_time
from tests.triton.projects import ENSEMBLE
from tritonops.errors import DeployError
from tritonops.models.disk.repository import Repository
from tritonops.remote.rollback import roll_back_host
from tritonops.remote.ssh.host import Host
from tritonops.triton.client.client import connect
from tritonops.triton.infer import infer

HOST = "gpu-01"
_numbers = itertools.count()


class Cell:
    """A host that serves versions 1 and 2 of a step, and ensembles that pin version 1 of it or take the newest."""

    def __init__(self, site: Site, situation: str, number: int, *, by_hand: bool = False) -> None:
        self.site, self.situation = site, situation
        self.step = f"step_{number}"
        self.ensembles = [f"ensemble_{number}"]
        if situation == "two ensembles on one step":
            self.ensembles.append(f"other_ensemble_{number}")
        self.is_managed = situation != "unmanaged ensemble" and not by_hand

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.site.servers[HOST].grpc}"

    @property
    def models_dir(self):
        return self.site.servers[HOST].root / "shared/triton"

    def declare(self, *versions: int, width: int = 3, with_ensembles: bool = True) -> None:
        """Commit these versions of the step, which answer x + version, and the ensembles unless they are unmanaged."""
        folder = self.site.clone.folder
        graphs = {version: affine(1, version, width=width) for version in versions}
        self.site.clone.models = {self.step: ""}
        for version, graph in graphs.items():
            file = f"models/{self.step}-{version}-{width}.onnx"
            onnx.save_model(graph, folder / file)
            entry = f'[[models.{self.step}]]\npath = "{file}"\ntriton_version = {version}\n'
            self.site.clone.models[self.step] += entry
        self._write_config(self.step, config_pbtxt(next(iter(graphs.values()))))
        (folder / "models/empty").touch()
        for name in self.ensembles if self.is_managed and with_ensembles else ():
            source = 'path = "models/empty"\nlocal_name = "empty"\ntriton_version = 1\n'
            self.site.clone.models[name] = f"[[models.{name}]]\n{source}"
            self._write_config(name, self._ensemble(name))
        self.site.clone.write_catalog()
        self.site.clone.commit(f"{versions}")

    def put_by_hand(self) -> None:
        """Put the ensembles on the host and load them, as somebody might who logged in there."""
        for name in self.ensembles:
            (self.models_dir / name / "1").mkdir(parents=True)
            (self.models_dir / name / "config.pbtxt").write_text(self._ensemble(name))
            with connect(self.url) as client:
                client.load(name, timeout=30)

    def take_away(self) -> None:
        with connect(self.url) as client:
            for name in self.ensembles:
                client.unload(name, timeout=30)
                shutil.rmtree(self.models_dir / name)

    def answers(self) -> dict[str, float]:
        with connect(self.url) as client:
            return {name: float(infer(client, name).responses[0][0].array[0, 0]) for name in self.ensembles}

    def _write_config(self, name: str, text: str) -> None:
        path = self.site.clone.folder / "triton-config" / name / "cpu.pbtxt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _ensemble(self, name: str) -> str:
        is_pinned = self.situation in ("pinned step", "unmanaged ensemble", "two ensembles on one step")
        version = 1 if is_pinned and not name.startswith("other") else -1
        return ENSEMBLE.replace("STEP", self.step).replace("model_version: -1", f"model_version: {version}")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site.at(tmp_path_factory.mktemp("matrix"), HOST) as made:
        yield made


@pytest.fixture
def cell(site, request):
    made = Cell(site, request.param, next(_numbers))
    yield made
    if not made.is_managed:
        made.take_away()


def roll_back(site: Site) -> None:
    with Host(HOST, ssh_config=site.fleet.config) as host:
        roll_back_host(host, to=None, on_step=lambda line: None)


def refused(cell: Cell, change: Callable[[], object]) -> None:
    """The change is refused with the name of an ensemble, and all of them go on answering what they did."""
    before = cell.answers()
    with asked_all_the_time(cell.url, cell.ensembles) as failures, pytest.raises(DeployError) as caught:
        change()
    assert any(name in str(caught.value) for name in cell.ensembles), caught.value
    assert cell.answers() == before
    assert not failures


@pytest.mark.parametrize(
    "cell", ["pinned step", "unmanaged ensemble", "two ensembles on one step", "disabled step"], indirect=True
)
def test_a_deploy_without_what_an_ensemble_needs_is_refused(site, cell):
    cell.declare(1, 2)
    site.deploy()
    if cell.situation == "unmanaged ensemble":
        cell.put_by_hand()
    if cell.situation == "disabled step":
        Repository(cell.models_dir).disable(cell.step)
    cell.declare(2, 3)
    refused(cell, site.deploy)


@pytest.mark.parametrize("cell", ["signature change"], indirect=True)
def test_a_deploy_of_another_signature_is_refused(site, cell):
    cell.declare(1, 2)
    site.deploy()
    cell.declare(1, 2, width=4)
    refused(cell, site.deploy)


@pytest.mark.parametrize("cell", ["newest step"], indirect=True)
def test_no_request_fails_while_the_newest_step_moves_on_and_back(site, cell):
    cell.declare(1, 2)
    site.deploy()
    before = cell.answers()
    cell.declare(2, 3)
    with asked_all_the_time(cell.url, cell.ensembles) as failures:
        site.deploy()
        after = cell.answers()
        roll_back(site)
        assert cell.answers() == before != after
    assert not failures


@pytest.mark.parametrize("situation", ["pinned step", "signature change", "two ensembles on one step"], ids=str)
def test_a_rollback_to_a_release_without_what_an_ensemble_needs_is_refused(site, situation):
    """The ensembles came by hand after that release."""
    cell = Cell(site, situation, next(_numbers), by_hand=True)
    cell.declare(*((1, 2) if situation == "signature change" else (2, 3)), width=4 if "signature" in situation else 3)
    site.deploy()
    cell.declare(1, 2)
    site.deploy()
    cell.put_by_hand()
    try:
        refused(cell, lambda: roll_back(site))
    finally:
        cell.take_away()


def test_a_rollback_enables_the_step_of_an_ensemble_and_no_request_fails(site):
    cell = Cell(site, "disabled step", next(_numbers))
    for versions in ((1, 2), (2, 3)):
        cell.declare(*versions)
        site.deploy()
    Repository(cell.models_dir).disable(cell.step)
    with asked_all_the_time(cell.url, cell.ensembles) as failures:
        roll_back(site)
        assert cell.answers() == {cell.ensembles[0]: 2}
    assert not failures
