"""The server of a host, as configs are judged for it."""

from __future__ import annotations

from dataclasses import replace

from tritonops.models.rules.judged_server import JudgedServer, embedded_server, server_of_image
from tritonops.project import Project
from tritonops.remote.client.host_state import inspect_host, parse_answers
from tritonops.remote.layout.scripts import script
from tritonops.remote.ssh.host import Host
from tritonops.triton_image import parse_image


def judged_server(host: Host, project: Project) -> JudgedServer:
    """Ask a host for what a verdict depends on: the image that runs, or else that of the next release, flags, GPUs."""
    if project.hosts.settings(host.name).runtime == "embedded":
        embedded = embedded_server()
        return replace(embedded, name=f"{host.name}: {embedded.name}")
    state = inspect_host(host)
    running = state.started.parts.get("image") if state.started else None
    image = parse_image(running or state.image or project.image.name, may_be_tag=False)
    answers = parse_answers(host.run(script("answer", "judge", root=host.folder)).stdout)
    gpus = next((int(count) for count in answers.get("gpus", ()) if count.isdigit()), None)
    server = server_of_image(image, gpus=gpus, completes_configs="completes" not in answers)
    return replace(server, name=f"{host.name}: {server.name}")
