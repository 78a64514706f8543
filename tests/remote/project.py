"""A clone of this project, with small models of its own, that a person deploys from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.onnx_models import affine, config_pbtxt
from tests.paths import PROJECT
from tests.remote.sshd import Fleet, Server
from tritonops.errors import TritonOpsError
from tritonops.project import Project
from tritonops.remote.client.activation_log import DeployResult
from tritonops.remote.client.checkout import read_checkout
from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.client.push import push
from tritonops.remote.client.upload import begin, send
from tritonops.remote.deploy import deploy_checkout, large_files
from tritonops.remote.host.activation import activate
from tritonops.remote.layout.paths import Layout
from tritonops.remote.layout.records import ActivationRecord
from tritonops.remote.ssh.host import Host
from tritonops.server import embedded
from tritonops.server.ports import free_ports
from tritonops.settings import Settings, load_settings
from tritonops.triton.client.client import connect

SENT = ("inv", "tasks.py", "tasks", "tritonops", "requirements", "docker", "docker-compose.yml", "ml.yml")


class Clone:
    """A git repository with this project's code, and models that answer scale * x + offset."""

    def __init__(self, folder: Path, ssh_config: Path) -> None:
        self.folder, self.ssh_config = folder, ssh_config
        folder.mkdir()
        for name in SENT:
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy2(source, folder / name)
        (folder / ".gitignore").write_text("__pycache__/\n/triton/\n/triton-disabled/\n/.store/\n/.server/\n/.env\n")
        (folder / "models").mkdir()
        self.models: dict[str, str] = {}
        self.write_catalog()
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("Begin")

    def copy(self, folder: Path) -> Clone:
        """Clone it for somebody else."""
        subprocess.run(["git", "clone", "--quiet", str(self.folder), str(folder)], check=True)
        copy = Clone.__new__(Clone)
        copy.folder, copy.ssh_config, copy.models = folder, self.ssh_config, dict(self.models)
        return copy

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")

    def model(self, name: str, version: int = 1, *, scale: float = 1.0, padding: int = 0, toml: str = "") -> None:
        """Let models.toml have one version of a model, which answers scale * x; `padding` makes its file larger."""
        made = affine(scale)
        made.doc_string = os.urandom(padding // 2).hex()
        file = f"models/{name}-{version}-{scale:g}.onnx"
        onnx.save_model(made, self.folder / file)
        entry = f'[[models.{name}]]\npath = "{file}"\ntriton_version = {version}\n{toml}\n'
        self.models[name] = entry
        config = self.folder / "triton-config" / name / "cpu.pbtxt"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(config_pbtxt(made))
        self.write_catalog()

    def ignore(self, pattern: str) -> None:
        """Keep files out of git, and so out of what a deploy uploads."""
        with (self.folder / ".gitignore").open("a") as file:
            file.write(f"{pattern}\n")
        self.git("rm", "-r", "--cached", "--quiet", "--ignore-unmatch", pattern.strip("/"))

    def write_catalog(self) -> None:
        (self.folder / "models.toml").write_text("\n".join(self.models.values()))

    def hosts(self, *names: str, **settings: Any) -> None:
        """Write hosts.toml: each of these hosts serves on CPU, embedded by default."""
        described = {"config": "cpu", "runtime": "embedded", **settings}
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in described.items())
        (self.folder / "hosts.toml").write_text("\n".join(f"[hosts.{name}]\n{lines}" for name in names))

    @property
    def environment(self) -> dict[str, str]:
        """What a task of this clone runs with: the tests' own Python environment, and their hosts."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRITON", "PYTEST"))}
        return {**kept, "TRITONOPS_VENV": str(Path(sys.prefix)), "TRITON_SSH_CONFIG": str(self.ssh_config)}

    def inv(self, *arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a task as a person would."""
        done = subprocess.run(
            [str(self.folder / "inv"), *arguments],
            cwd=self.folder,
            env=self.environment,
            input=stdin or "",
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"inv {' '.join(arguments)}: {done.returncode}\n{done.stderr}"
        return done


class Site:
    """A clone, and hosts that it is deployed to; each serves with the embedded Triton on ports of its own."""

    def __init__(self, folder: Path, *names: str, home: str = "home", **environment: str) -> None:
        self.fleet, self.home = Fleet(folder), home
        self.clone = Clone(folder / "clone", self.fleet.config)
        self.clone.hosts(*names)
        self.servers = {name: self._server(name, environment) for name in names}

    @classmethod
    @contextmanager
    def at(cls, folder: Path, *names: str, home: str = "home", **environment: str) -> Iterator[Site]:
        """Make one, with hosts that nothing was deployed to yet; all that runs on them ends with the block."""
        site = cls(folder, *names, home=home, **environment)
        try:
            yield site
        finally:
            for server in site.servers.values():
                if triton := embedded.find(server.root / "shared" / ".server"):
                    embedded.kill(triton)
            site.fleet.stop()

    def _server(self, name: str, environment: Mapping[str, str]) -> Server:
        """The host's tasks run with the Python environment of the tests: installing one takes seconds."""
        own = {"TRITONOPS_REQUIREMENTS": "dev", "PATH": os.environ["PATH"]}
        server = self.fleet.add(name, environment={**own, **environment}, home=self.home)
        (server.root / "shared/venvs").mkdir(parents=True)
        if "TRITONOPS_REQUIREMENTS" not in environment:
            (server.root / "shared/venvs" / read_checkout(self.clone.folder).venv).symlink_to(sys.prefix)
        ports = free_ports()
        server.grpc = ports.grpc
        lines = [f"TRITON_EXPOSE_{kind.upper()}={port}\n" for kind, port in asdict(ports).items()]
        (server.root / "env").write_text("".join(lines))
        return server

    def deploy(
        self, name: str = "gpu-01", *, on_step: Callable[[str], None] = lambda line: None, push: bool = False
    ) -> DeployResult:
        """Deploy in this process."""
        with Host(name, ssh_config=self.fleet.config) as host:
            checkout = read_checkout(self.clone.folder)
            return deploy_checkout(host, self.project, checkout, send_models=push, on_step=on_step)

    def stage(self, name: str = "gpu-01") -> tuple[Layout, str]:
        """Send a release, and leave it to the caller to activate it."""
        host_settings = self.project.hosts.settings(name)
        with Host(name, ssh_config=self.fleet.config) as host:
            checkout, state = read_checkout(self.clone.folder), inspect_host(host)
            large = large_files(checkout, self.settings.store_dir, host_settings, send_models=False)
            record, missing = begin(host, state, checkout, host_settings, large)
            push(host, state, missing)
            send(host, state, checkout, host_settings, record)
        return Layout(self.servers[name].root), record.id

    @contextmanager
    def through(self, ports: Mapping[str, int]) -> Iterator[None]:
        """Reach hosts by other ports, where something stands in front of them."""
        before = self.fleet.config.read_text()
        for name, port in ports.items():
            server = self.servers[name]
            with self.fleet.known_hosts.open("a") as file:
                file.write(f"[127.0.0.1]:{port} {server.host_key}")
            text = self.fleet.config.read_text()
            self.fleet.config.write_text(text.replace(f"Port {server.port}\n", f"Port {port}\n"))
        yield
        self.fleet.config.write_text(before)

    @property
    def project(self) -> Project:
        return Project(self.settings)

    @property
    def settings(self) -> Settings:
        return load_settings(self.clone.folder, environ={}, cwd=self.clone.folder)

    def serve(self, **scales: float) -> None:
        """Commit models of these names that answer scale * x."""
        for name, scale in scales.items():
            self.clone.model(name, scale=scale)
        self.clone.commit(f"{scales}")

    def answers(self, name: str = "gpu-01") -> dict[str, float]:
        """Ask each model that is served what it makes of 1."""
        import numpy as np

        x = {"x": np.ones((1, 3), np.float32)}
        with connect(f"127.0.0.1:{self.servers[name].grpc}") as client:
            ready = sorted({row.name for row in client.index() if row.state == "READY"})
            return {model: float(client.infer(model, x, timeout=10)["y"][0, 0]) for model in ready}

    @contextmanager
    def inferring(self, model: str, name: str = "gpu-01") -> Iterator[Observed]:
        """Let a client ask a model what it makes of 1, continuously, as long as the block takes."""
        observed, stop = Observed(), threading.Event()
        port = self.servers[name].grpc
        client = threading.Thread(target=_infer, args=(f"127.0.0.1:{port}", model, observed, stop))
        client.start()
        try:
            yield observed
        finally:
            stop.set()
            client.join()


@dataclass
class Observed:
    """What a client got while it inferred."""

    answers: set[float] = field(default_factory=set)
    failures: list[TritonOpsError] = field(default_factory=list)


def _infer(url: str, model: str, observed: Observed, stop: threading.Event) -> None:
    import numpy as np

    x = {"x": np.ones((1, 3), np.float32)}
    with connect(url) as client:
        while not stop.is_set():
            try:
                observed.answers.add(float(client.infer(model, x, timeout=30)["y"][0, 0]))
            except TritonOpsError as exc:
                observed.failures.append(exc)


def activated(
    layout: Layout, name: str, on_step: Callable[[str], None] = lambda line: None, *, prune_models: bool = False
) -> ActivationRecord:
    """Activate a release in this process, as its own inv would. Each reported step is a moment to break something."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_MODELS_DIR", str(layout.models_dir))
        patch.setenv("TRITONOPS_REQUIREMENTS", "dev")
        by = "somebody@laptop"
        return activate(layout, name, by=by, kind="deploy", prune_models=prune_models, on_step=on_step)
