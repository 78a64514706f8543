"""The server that `models.check` judges for: its options, and what the output says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tasks.output.terminal import note
from tasks.output.waiting import waiting
from tasks.shared.checkout import project
from tritonops.errors import InputError

if TYPE_CHECKING:
    from tritonops.models.graphs.trial import TrialRequest
    from tritonops.models.rules.judged_server import JudgedServer


def chosen_server(*, image: str | None, embedded: bool, host: str | None) -> JudgedServer:
    """Give the server of --image, --embedded or --host; by default that of this project's Compose files."""
    from tritonops.compose.definition import completes_configs
    from tritonops.models.rules.judged_server import count_gpus, embedded_server, server_of_image
    from tritonops.triton_image import parse_image

    if sum(map(bool, (image, embedded, host))) > 1:
        raise InputError("--image, --embedded and --host exclude each other")
    if embedded:
        return embedded_server()
    if host:
        from tritonops.remote.judge import judged_server
        from tritonops.remote.ssh.host import Host

        with Host.of(host, project().settings) as connection:
            return judged_server(connection, project())
    judged = parse_image(image) if image else project().image
    return server_of_image(judged, gpus=count_gpus(), completes_configs=completes_configs(project().settings))


def note_server(server: JudgedServer) -> None:
    """Say for which server the findings are, and what is not known of it."""
    from importlib.util import find_spec

    completes = "completes configs" if server.completes_configs else "does not complete configs"
    gpus = "the number of its GPUs is unknown" if server.gpus is None else f"GPUs: {server.gpus}"
    note(f"checked for {server.name}, which {completes}; {gpus}")
    if find_spec("onnxruntime") is None:
        note("onnxruntime is not installed: no graph was tried, so batches and inferred shapes were not checked")
    if server.release is None:
        note(f"{server.name} is not an NVIDIA release: backends and ONNX Runtime versions were not checked")


@contextmanager
def progress_of_trials(*, quiet: bool) -> Iterator[Callable[[TrialRequest], object]]:
    """Show which graphs are being tried, at a terminal."""
    with waiting("trying graphs on ONNX Runtime", quiet=quiet, at_once=False) as shown:

        def on_trial(request: TrialRequest) -> None:
            shown.replace({str(request.path): "load"})
            shown.begin()

        yield on_trial
