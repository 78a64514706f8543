"""Compare the models folder in the container with the one that Compose mounts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tritonops.compose.engine.container import MODELS, Container
from tritonops.compose.engine.docker import Docker
from tritonops.errors import InputError, ServiceError
from tritonops.models.catalog.valid_values import is_junk
from tritonops.models.disk.repository import Repository

_VIEW_PROGRAM = """
import json, os
def names():
    try:
        return sorted(entry.name for entry in os.scandir("/models") if entry.is_dir())
    except OSError:
        return None
def unreadable():
    for folder, folders, files in os.walk("/models"):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            if not os.access(path, os.R_OK | (os.X_OK if name in folders else 0)) and os.path.exists(path):
                yield os.path.relpath(path, "/models")
stat = os.stat("/models")
found = [name for name, _ in zip(unreadable(), range(20))]
print(json.dumps({"names": names(), "inode": stat.st_ino, "unreadable": found}))
"""
_ATTEMPTS = 2
_PAUSE = 0.2


@dataclass(frozen=True)
class MountView:
    """The models as the container sees them: folders (None without permission), and unreadable files."""

    names: tuple[str, ...] | None
    inode: int
    unreadable: tuple[str, ...]

    @property
    def is_blocked(self) -> bool:
        """Whether the container's user may not read all of the models."""
        return self.names is None or bool(self.unreadable)

    def cause(self, *, is_rootless: bool) -> str:
        """Describe what the container may not read, and the fix."""
        what = ", ".join(self.unreadable[:5]) or "the models folder"
        owner = "0:0, which is the engine's user: Docker is rootless" if is_rootless else "its owner"
        return (
            f"the container's user may not read {what}: `chmod -R a+rX` the models folder, or set "
            f"TRITON_USER to {owner}"
        )


def view_mount(docker: Docker, container: Container) -> MountView | None:
    """Read the models folder inside the container; None if its image has no Python, or it has ended."""
    attempt = docker.attempt(["docker", "exec", container.id, "python3", "-IS", "-c", _VIEW_PROGRAM])
    if attempt.code:
        return None
    found = json.loads(attempt.stdout)
    names = found["names"]
    return MountView(
        None if names is None else tuple(name for name in names if not is_junk(name)),
        found["inode"],
        tuple(found["unreadable"]),
    )


def refuse_leaving_links(folder: Path, *, below_models: bool = True) -> None:
    """Raise InputError for dangling links, and links out of the mount.

    A link in place of a model keeps Triton from listing any; links `below_models` concern one model each.
    """
    links = [
        f"{link.relative_to(folder)} -> {link.readlink()}"
        for link in _leaving_links(folder, folder)
        if below_models or link.parent == folder
    ]
    if links:
        more = f", and {len(links) - 5} more" if len(links) > 5 else ""
        raise InputError(
            f"{folder} has symbolic links that are dangling in the container, where it is mounted as {MODELS}: "
            f"{', '.join(links[:5])}{more}",
            hint="Triton would serve no model at all. Replace the link with a copy, make it relative within the "
            "folder, or move it out of the folder.",
        )


def leaving_link(model: Path) -> str | None:
    """Describe a link of a model that is dangling or leads out of the mount; None if there is none."""
    for link in _leaving_links(model, model.parent):
        return f"{link} -> {link.readlink()} is dangling in the container, where {model.parent} is {MODELS}"
    return None


def require_same_folder(docker: Docker, container: Container, folder: Path, *, is_new: bool) -> MountView | None:
    """Raise ServiceError if the container serves another folder than `folder` of this machine.

    `is_new`: the container has just been started, so its folder cannot have been replaced since.
    """
    for attempt in range(_ATTEMPTS):
        view, names = view_mount(docker, container), Repository(folder).enabled_names()
        if view is None or view.names is None:
            return view
        is_replaced = not is_new and view.inode != folder.stat().st_ino and _is_on_this_machine(docker)
        if view.names == names and not is_replaced:
            return view
        if attempt == _ATTEMPTS - 1:
            raise _other_folder(view.names, names, folder, is_replaced=is_replaced)
        time.sleep(_PAUSE)  # a model may have been added or removed in between
    return None


def _other_folder(
    seen_names: tuple[str, ...], names: tuple[str, ...], folder: Path, *, is_replaced: bool
) -> ServiceError:
    if is_replaced:
        return ServiceError(
            f"{folder} was replaced while the container runs, which still serves the earlier folder",
            hint="To serve the new one: inv compose.restart",
        )
    seen = f"has {', '.join(seen_names)}" if seen_names else "is empty"
    return ServiceError(
        f"the container's {MODELS} {seen} while {folder} has {_count(names)}: the engine sees another folder",
        hint="The engine is on another machine, or this is a container itself: TRITON_MODELS_DIR must be a folder of "
        "the engine's machine.",
    )


def _leaving_links(folder: Path, root: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent, name)
            if path.is_symlink() and _is_dangling(path, root):
                yield path


def _is_dangling(link: Path, root: Path) -> bool:
    """Whether the container cannot follow a link; its mount has another name, so a path must not leave it."""
    target = link.readlink()
    depth = len(link.parent.relative_to(root).parts)
    for part in target.parts:
        depth += -1 if part == os.pardir else 1
        if depth < 0:
            return True
    return target.is_absolute() or not link.exists()


def _is_on_this_machine(docker: Docker) -> bool:
    """Whether inode numbers can be compared: only with an engine on the same kernel, without file sharing."""
    return docker.output(["docker", "info", "--format", "{{.Name}}"]).strip() == os.uname().nodename


def _count(names: tuple[str, ...]) -> str:
    if not names:
        return "no models"
    return f"{len(names)} models: {', '.join(names[:5])}" if len(names) > 1 else f"the model {names[0]}"
