"""From a clone to an inference: the model of examples/digits/, served by an embedded Triton of its own.

Each step does what a command does, with the settings of `.quickstart/env`, so that a reader can repeat it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import RepositoryError
from tritonops.file_lock import locked
from tritonops.models.config import copy_configs, raise_unless_done
from tritonops.models.disk.repository import Repository
from tritonops.models.download import download
from tritonops.project import Project
from tritonops.server import embedded
from tritonops.server.installation import find_installation
from tritonops.server.ports import LOOPBACK, Ports, free_ports, is_free
from tritonops.server.status import server_status
from tritonops.settings import Settings
from tritonops.triton.client.client import TritonClient
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.infer import infer
from tritonops.triton.list import list_models
from tritonops.triton.load import load_model

MODEL = "digits"
_BRIGHTEST = 16
_SHADES = " ░▒▓█"


@dataclass(frozen=True)
class Prediction:
    """The image of a digit, drawn with characters, and the digit that the model recognized."""

    picture: str
    digit: int
    probability: float


@dataclass(frozen=True)
class QuickstartStep:
    """One step: its title, the arguments of `inv` that do the same, and a function that returns the result."""

    title: str
    arguments: tuple[str, ...]
    run: Callable[[], str]


class Quickstart:
    """One run with the settings of `.quickstart/`; the last step sets `prediction`."""

    def __init__(self, project: Project) -> None:
        self._project, self.settings = project, project.settings
        self.image = _example(project.settings.project) / "seven.json"
        self.prediction: Prediction | None = None

    def steps(self) -> list[QuickstartStep]:
        """List the steps in their order."""
        image = os.path.relpath(self.image)
        return [
            QuickstartStep("Download the model, verified, to where Triton reads", ("models.download",), self._download),
            QuickstartStep("Give it its configuration for CPUs", ("models.config", "--cpu"), self._configure),
            QuickstartStep("Start a Triton Inference Server on this machine", ("server.up",), self._start),
            QuickstartStep("Load the model, unless it is loaded already", ("triton.load", MODEL), self._load),
            QuickstartStep("List what the server serves", ("triton.list",), self._list),
            QuickstartStep("Show it a handwritten digit", ("triton.infer", MODEL, "--input", image), self._ask),
        ]

    def _download(self) -> str:
        result = download(self._project)
        for failure in result.failed:
            raise RepositoryError(f"{failure.model} was not downloaded: {failure.error}")
        return "downloaded" if result.downloaded else "up to date"

    def _configure(self) -> str:
        results = copy_configs(self._project, variant="cpu")
        raise_unless_done(results)
        return ", ".join(result.state for result in results)

    def _start(self) -> str:
        settings = self.settings
        ports = Ports(settings.http_port, settings.grpc_port, settings.metrics_port)
        server = embedded.start(settings.models_dir, settings.server_dir, ports=ports, token=settings.triton_token)
        server_status(settings.server_dir, token=settings.triton_token).raise_failures()
        return f"pid {server.process.pid}, gRPC {server.grpc_url}, HTTP {server.http_url}"

    def _load(self) -> str:
        disk = ServedFolder.of(self.settings.models_dir, self.settings.triton_url)
        with self._client() as client:
            return load_model(client, MODEL, disk=disk).verdict

    def _list(self) -> str:
        with self._client() as client:
            return ", ".join(f"{row.name} {row.version}: {row.state}" for row in list_models(client))

    def _ask(self) -> str:
        with self._client() as client:
            outputs = {output.name: output.array for output in infer(client, MODEL, inputs=self.image).responses[0]}
        digit = int(outputs["digit"][0, 0])
        self.prediction = Prediction(picture(read_image(self.image)), digit, float(outputs["probabilities"][0, digit]))
        return f"digit {digit}"

    def _client(self) -> AbstractContextManager[TritonClient]:
        return self._project.connect()


@contextmanager
def prepared(settings: Settings, environ: Mapping[str, str]) -> Iterator[Quickstart]:
    """Choose the ports, write `.quickstart/env`, and allow one run at a time.

    Raises EmbeddedUnavailableError, before anything is written, on a machine without an embedded Triton.
    """
    find_installation()
    folder = _folder(settings)
    with ExitStack() as stack:
        try:
            folder.joinpath("triton").mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / "lock"))
        except OSError as exc:
            raise RepositoryError(f"cannot write to {folder}: {exc.strerror}") from exc
        variables = _variables(settings, _choose_ports(settings))
        Repository(folder / "triton").write_source(env_file(settings), _exports(variables))
        yield Quickstart(Project.load(settings.project, environ={**environ, **variables}))


def stop(settings: Settings) -> bool:
    """Stop the server of the quickstart, and keep its files. Returns whether there was one."""
    server = embedded.find(_folder(settings) / ".server")
    if server is not None:
        embedded.stop(server)
    return server is not None


def env_file(settings: Settings) -> Path:
    """Give the settings of the quickstart for a shell: `. .quickstart/env`."""
    return _folder(settings) / "env"


def _folder(settings: Settings) -> Path:
    return settings.project / ".quickstart"


def _example(project: Path) -> Path:
    return project / "examples" / "digits"


def _choose_ports(settings: Settings) -> Ports:
    """Keep the ports of a running server, or take the usual ones, and a free one for each that is taken."""
    if running := embedded.find(_folder(settings) / ".server"):
        return running.ports
    free = free_ports()
    return Ports(
        http=settings.http_port if is_free(settings.http_port) else free.http,
        grpc=settings.grpc_port if is_free(settings.grpc_port) else free.grpc,
        metrics=settings.metrics_port if is_free(settings.metrics_port) else free.metrics,
    )


def _variables(settings: Settings, ports: Ports) -> dict[str, str]:
    folder, example = _folder(settings), _example(settings.project)
    return {
        "MODELS_TOML": str(example / "models.toml"),
        "TRITON_CONFIG_DIR": str(example / "triton-config"),
        "TRITON_MODELS_DIR": str(folder / "triton"),
        "TRITON_STORE_DIR": str(folder / ".store"),
        "TRITON_RUNTIME": "embedded",
        "TRITON_EXPOSE_HTTP": str(ports.http),
        "TRITON_EXPOSE_GRPC": str(ports.grpc),
        "TRITON_EXPOSE_METRICS": str(ports.metrics),
        "TRITON_URL": f"{LOOPBACK}:{ports.grpc}",
    }


def _exports(variables: Mapping[str, str]) -> str:
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join(["# The settings of `inv quickstart`, for a shell: . .quickstart/env", *lines, ""])


def read_image(path: Path) -> list[list[float]]:
    """Read the one image of an input file."""
    import json

    image: list[list[float]] = json.loads(path.read_text(encoding="utf-8"))["image"][0]
    return image


def picture(image: Sequence[Sequence[float]]) -> str:
    """Draw an image of pixels from 0 to 16 with block characters, two for each pixel."""
    darkest = len(_SHADES) - 1
    return "\n".join("".join(_SHADES[round(pixel / _BRIGHTEST * darkest)] * 2 for pixel in row) for row in image)
