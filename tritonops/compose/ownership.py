"""The owner of a project's containers: Compose treats two folders of one name as the same project."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from tritonops.compose.definition import Definition
from tritonops.compose.engine.container import EARLIER_PROJECT, Container
from tritonops.compose.engine.docker import Docker
from tritonops.errors import InputError
from tritonops.process_environment import user_name

_RELEASE = re.compile(r"(?P<root>/.*)/releases/[^/]+/project")


def require_ours(containers: Sequence[Container], folder: Path, models_source: Path | None) -> None:
    """Raise InputError for a container that was created from another folder, with that folder and its owner.

    All releases of a host count as one folder.
    """
    ours = _owning_folder(str(folder), str(models_source or ""))
    for container in containers:
        theirs = _owning_folder(container.folder, container.models_source)
        if container.folder and not _is_same(theirs, ours):
            raise InputError(
                f"the container {container.name} belongs to {theirs} ({_owner(theirs)}), not to {ours}",
                hint="Both are the Compose project "
                f"{container.project}: give this one a COMPOSE_PROJECT_NAME of its own, in its .env, and other ports. "
                f"Where that folder was moved here: docker rm --force {container.name}",
            )


def _owning_folder(folder: str, models_source: str) -> str:
    release = _RELEASE.fullmatch(folder)
    return release["root"] if release and models_source == f"{release['root']}/shared/triton" else folder


def _is_same(folder: str, other: str) -> bool:
    return os.path.realpath(folder) == os.path.realpath(other)


def _owner(folder: str) -> str:
    try:
        return f"of {user_name(Path(folder).stat().st_uid)}"
    except OSError:
        return "which does not exist"


def find_containers(docker: Docker, definition: Definition) -> list[Container]:
    """List the containers of the service, including stopped ones, the newest first.

    That includes a container that an earlier version deployed in its project for all hosts.
    """
    found = _labelled(docker, definition, definition.project)
    root = definition.host_root
    if root and definition.project != EARLIER_PROJECT:
        earlier = _labelled(docker, definition, EARLIER_PROJECT)
        found += [container for container in earlier if container.folder.startswith(f"{root}/releases/")]
    return sorted(found, key=lambda container: str(container.data["Created"]), reverse=True)


def _labelled(docker: Docker, definition: Definition, project: str) -> list[Container]:
    labels = {"project": project, "service": definition.name, "oneoff": "False"}
    filters = [
        word for name, value in labels.items() for word in ("--filter", f"label=com.docker.compose.{name}={value}")
    ]
    found = docker.output(["docker", "ps", "--all", "--no-trunc", "--quiet", *filters]).split()
    return [Container(data) for data in json.loads(docker.output(["docker", "inspect", *found]))] if found else []
