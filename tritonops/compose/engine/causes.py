"""Causes of a failed container or model that Triton's own messages do not name."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from tritonops.compose.engine.container import Container
from tritonops.compose.engine.docker import Docker
from tritonops.compose.engine.image import platforms

_KILLED = 137
_OOM_FILES = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")  # cgroup 2 and 1
_SHM = re.compile(
    r"unable to (?:initialize|create|grow|increase).{0,20}shared memory|failed to (?:increase|grow).*shared memory|"
    r"shared memory.*no space left|/dev/shm.*no space left|no space left.*/dev/shm|bus error",
    re.IGNORECASE,
)
_ABSENT = re.compile(r"(?:exec: |sh: \d+: (?:exec: )?)\"?(tritonserver)\"?: not found")


def causes(docker: Docker, container: Container, text: str) -> tuple[str, ...]:
    """Find causes in `text` (the log and Triton's reasons), in the container's state and in the kernel's events."""
    return tuple(_causes(docker, container, text))


def _causes(docker: Docker, container: Container, text: str) -> Iterator[str]:
    state = container.data["State"]
    if state.get("OOMKilled") or _was_out_of_memory(docker, container):
        yield f"the kernel killed it for memory: the limit is {_size(container.memory_limit)}; TRITON_MEMORY raises it"
    elif state.get("ExitCode") == _KILLED and not state.get("Running"):
        yield "it was killed (exit 137): by `docker kill`, or by the kernel for memory, which TRITON_MEMORY limits"
    if _SHM.search(text):
        yield f"its shared memory is full: /dev/shm has {_size(container.shm_size)}; TRITON_SHM_SIZE raises it"
    if "exec format error" in text.lower():
        yield platforms(docker, container.image)
    if _ABSENT.search(text):
        yield f"the image {container.image} has no tritonserver: TRITON_IMAGE must be an image of Triton"


def _was_out_of_memory(docker: Docker, container: Container) -> bool:
    """Read the engine's events and the control group, since a killed stub does not end the container."""
    window = ["--since", str(container.data["Created"]), "--until", str(int(time.time()) + 1)]
    filters = ["--filter", f"container={container.id}", "--filter", "event=oom"]
    if docker.attempt(["docker", "events", *window, *filters, "--format", "{{.Action}}"]).stdout.strip():
        return True
    if container.status != "running":
        return False
    counts = docker.attempt(["docker", "exec", container.id, "cat", *_OOM_FILES]).stdout
    return any(int(count) for count in re.findall(r"^oom_kill (\d+)$", counts, re.MULTILINE))


def _size(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:g} {unit}"
    return f"{count} bytes" if count else "the machine's memory"
