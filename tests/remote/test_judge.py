"""The server of a host, as configs are judged for it."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from tests.remote.fakes import FakeHost, inspection
from tritonops.remote.client.inventory import HostSettings, Inventory
from tritonops.remote.judge import judged_server
from tritonops.triton_image import parse_image

RUNNING = json.dumps({"parts": {"image": "nvcr.io/nvidia/tritonserver:25.09-py3"}})


def project(runtime):
    settings: Any = {"gpu-01": HostSettings("gpu-01", runtime=runtime)}
    return SimpleNamespace(hosts=Inventory(settings), image=parse_image("26.07-py3"))


@pytest.mark.parametrize(
    ("lines", "env", "image"),
    [
        ([f"started\t{RUNNING}"], "TRITON_IMAGE=25.02-py3\n", "nvcr.io/nvidia/tritonserver:25.09-py3"),
        ([], "TRITON_IMAGE=25.02-py3\n", "25.02-py3"),
        ([], "", "26.07-py3"),
    ],
)
def test_the_running_image_counts_then_that_of_the_next_release(lines, env, image):
    made: Any = project("compose")
    server = judged_server(FakeHost(inspection(*lines, env=env), "gpus\t2\ncompletes\tno\n"), made)
    assert (server.name, server.gpus, server.completes_configs) == (f"gpu-01: {image}", 2, False)
    assert server.release == ((25, 9) if lines else None)  # Compose would pull an image of the name "25.02-py3"
    assert judged_server(FakeHost(inspection(*lines, env=env), ""), made).gpus is None


def test_an_embedded_host_is_judged_as_the_embedded_triton_is():
    made: Any = project("embedded")
    server = judged_server(FakeHost(), made)
    assert (server.name, server.is_embedded) == ("gpu-01: the embedded Triton", True)
