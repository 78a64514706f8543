"""Failures that docker, Compose and the engine print, and our error for each."""

from __future__ import annotations

import re
from collections.abc import Callable

from tritonops.errors import (
    DockerError,
    EnginePermissionError,
    EngineUnreachableError,
    GpuMissingError,
    InputError,
    PublishedPortTakenError,
    TritonOpsError,
)

_MakeError = Callable[[str], TritonOpsError]


def _explained(message: str, hint: str, error: type[TritonOpsError] = DockerError) -> _MakeError:
    """Make an error whose message and hint have the name from docker's output for `{}`."""
    return lambda name: error(message.format(name), hint=hint.format(name))


# Versions 20.10 to 29. The first match wins; its error gets the pattern's last group, or the whole match.
_FAILURES: tuple[tuple[str, _MakeError], ...] = (
    (
        r"emulate docker cli using podman|looking up compose provider failed|podman-compose",
        _explained(
            "`docker` is Podman, which is not supported",
            "Install Docker Engine (https://docs.docker.com/engine/install/), or serve without it: `inv server.up`.",
        ),
    ),
    (r"permission denied while trying to connect to the docker.*?(?=: (?:Get|Post|Head) |$)", EnginePermissionError),
    (
        r"(?:cannot connect to the docker daemon|failed to connect to the docker api|error during connect).*",
        EngineUnreachableError,
    ),
    (
        r"listen tcp[46]? (\S+?):? .*cannot assign requested address",
        _explained(
            "{} is not an address of the engine's machine",
            "TRITON_BIND is the address that ports are published on: 127.0.0.1, or one that `ip address` lists.",
            InputError,
        ),
    ),
    (
        r"(?:bind for|listen tcp[46]?|exposing port tcp) (\S+?):? .*(?:already allocated|already in use|not available)",
        PublishedPortTakenError,
    ),
    (
        r"could not select device driver.*|nvidia-container-cli: .*|[^:\n]*unresolvable CDI devices.*|"
        r"CDI device injection failed.*|unknown or invalid runtime name: nvidia|unknown runtime specified nvidia",
        GpuMissingError,
    ),
    (
        r"exec: \"?(\S*tritonserver)\"?: .*(?:executable file not found|no such file or directory)",
        _explained("the image has no {}", "TRITON_IMAGE must be an image of Triton.", InputError),
    ),
    (
        r"exec format error",
        _explained("the image is for another platform: exec format error", "TRITON_IMAGE chooses the image."),
    ),
    (
        r"refers to undefined secret (triton_token\S*):",
        _explained(
            "the Compose files have no secret {}, which the service of ml.yml needs",
            "`extends` takes a service without its secrets: docs/docker.md has the lines to add.",
            InputError,
        ),
    ),
    (r"(\S.*): invalid compose project", InputError),
    (
        r"the container name \"/?(\S+)\" is already in use",
        _explained("a container with the name {} exists already", "docker rename {0} OTHER, or docker rm {0}"),
    ),
    (
        r"bind source path does not exist: (.*\S)",
        _explained(
            "the folder {}, which the service mounts, does not exist on the engine's machine",
            "TRITON_MODELS_DIR is the models folder; `inv models.download` creates it.",
            InputError,
        ),
    ),
    (
        r"network (\S+) (?:declared as external, but could not be found|not found)",
        _explained("the external network {} does not exist", "docker network create {}"),
    ),
    (
        r"container rootfs is marked read-only",
        _explained(
            "Compose cannot write the secret into a container with `read_only: true`",
            "Remove `read_only: true` from the service, or take the token from a file: "
            "`secrets: {{triton_token_given: {{file: …}}}}`.",
            InputError,
        ),
    ),
    (
        r"environment variable \"?(\w+)\"? required by (?:file|secret) .* is not set",
        _explained(
            "the secret's environment variable {} is not set where Compose looks for it",
            "Set {} in the environment, or in the .env next to the first Compose file.",
            InputError,
        ),
    ),
    (
        r"minimum memory limit allowed is \S+",
        _explained("the memory limit is too small: {}", "TRITON_MEMORY sets it, for example 8g.", InputError),
    ),
    (
        r"invalid value for \"\w+\": .*|no such service: .*|(?:stat|open) .*\.ya?ml: no such file or directory",
        InputError,
    ),
)


def known_failure(output: str) -> TritonOpsError | None:
    """Recognize a failure in docker's output; None for an unknown one."""
    for pattern, error in _FAILURES:
        if found := re.search(pattern, output, re.IGNORECASE | re.MULTILINE):
            return error(found[found.lastindex or 0])
    return None
