"""The models on disk: what Triton is shown, what it is not shown, and the moves between the two.

Every directory inside `triton/` is a model to Triton, so nothing is built there: a model, a version or a config
is made beside it, in `.store`, and appears by one rename.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EXDEV
from functools import cached_property
from pathlib import Path

from tritonops.errors import InputError, RepositoryError, UnknownModelError
from tritonops.files import locked, write_text

CONFIG_NAME = "config.pbtxt"


@dataclass(frozen=True)
class Repository:
    """A Triton model repository: `root` is `X/triton`; `X/triton-disabled` and `X/.store` belong to it."""

    root: Path

    @cached_property
    def disabled(self) -> Path:
        """The models that are kept out of Triton's sight."""
        return self.root.with_name(f"{self.root.name}-disabled")

    @cached_property
    def beside(self) -> Path:
        """For locks and for what is not ready: on the filesystem of `root`, wherever the blobs are kept."""
        return self.root.with_name(".store")

    def enabled_names(self) -> tuple[str, ...]:
        """List the models that Triton is shown, installed by us or not."""
        return _directories(self.root)

    def disabled_names(self) -> tuple[str, ...]:
        """List the models that Triton is not shown."""
        return _directories(self.disabled)

    def names(self) -> tuple[str, ...]:
        """List every model on disk."""
        return tuple(sorted({*self.enabled_names(), *self.disabled_names()}))

    def home(self, name: str) -> Path | None:
        """Find the folder of a model, enabled or disabled; None where it is on disk in neither.

        Raises RepositoryError where it is in both: nobody can say which one is meant.
        """
        if name in ("", "..") or Path(name).name != name:
            return None
        homes = [folder / name for folder in (self.root, self.disabled) if (folder / name).is_dir()]
        if len(homes) > 1:
            raise RepositoryError(
                f"{name} is in two places: {homes[0]} and {homes[1]}",
                hint="Compare them, and move one of them away by hand.",
            )
        return homes[0] if homes else None

    def versions(self, name: str) -> tuple[int, ...]:
        """List the versions of a model on disk, lowest first. As Triton does, skip names like "01" and "new"."""
        home = self.home(name)
        if home is None:
            return ()
        return tuple(sorted(int(folder) for folder in _directories(home) if re.fullmatch("[1-9][0-9]*", folder)))

    def version_dir(self, name: str, version: int) -> Path:
        """Where a version is, or would be installed."""
        return (self.home(name) or self.root / name) / str(version)

    def enable(self, name: str) -> Path:
        """Show a disabled model to Triton, by one rename. Returns where it is now."""
        return self._move(name, self.disabled, self.root, "enabled")

    def disable(self, name: str) -> Path:
        """Take a model out of Triton's sight, by one rename. Returns where it is now."""
        return self._move(name, self.root, self.disabled, "disabled")

    def _move(self, name: str, source: Path, target: Path, state: str) -> Path:
        with self.changing():
            if name not in self.names():
                raise UnknownModelError(name, self.names(), where=f"the disk ({self.root})")
            if self.home(name) == target / name:
                raise InputError(f"{name} is {state} already: {target / name}", hint="Try `inv models.list`.")
            target.mkdir(exist_ok=True)
            (source / name).rename(target / name)
        return target / name

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the one lock under which `root` and `disabled` change. Keep it for renames, not for downloads.

        Raises RepositoryError where `root` cannot be changed by renames; turns an OSError of the block into one.
        """
        self.refuse_mount_point()
        with _translated(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            self.beside.mkdir(exist_ok=True)
            with locked(self.beside / "repository.lock"):
                yield

    def refuse_mount_point(self) -> None:
        """Raise RepositoryError where `root` is itself a mount point: its siblings lie on another filesystem."""
        if self.root.is_mount():
            raise RepositoryError(
                f"{self.root} is a mount point, so models cannot be moved into it in one step",
                hint=f"Mount its parent, {self.root.parent}, or set TRITON_MODELS_DIR to a folder inside the mount.",
            )

    def pending_config(self, name: str) -> Path:
        """Where the config of a model waits for the model: alone in `root`, it would be a model that fails."""
        return self._pending / name / CONFIG_NAME

    @cached_property
    def _pending(self) -> Path:
        return self.beside / "configs"

    def config_path(self, name: str) -> Path:
        """Where the config.pbtxt of a model is, or would be written."""
        home = self.home(name)
        return home / CONFIG_NAME if home else self.pending_config(name)

    def take_pending_config(self, name: str, model: Path) -> None:
        """Move the config that waits for a model, with its labels, into the folder that will be the model's.

        The caller holds `changing()` and renames the folder, with its first version, into `root`.
        """
        waiting = self._pending / name
        if waiting.is_dir():
            for path in waiting.iterdir():
                path.replace(model / path.name)
            waiting.rmdir()

    def write_config(self, name: str, text: str, *, file_name: str = CONFIG_NAME) -> Path:
        """Write a model's config.pbtxt by one rename: where the model is, or where it waits for the model.

        With `file_name`, another file that belongs beside it.
        """
        with self.changing():
            target = self.config_path(name).with_name(file_name)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_text(target, text, staging=self.beside)
        return target


def _directories(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    except FileNotFoundError:
        return ()


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        siblings = f"{folder.name}, {folder.name}-disabled and .store"
        hint = f"{siblings} have to be on one filesystem." if exc.errno == EXDEV else None
        raise RepositoryError(f"cannot change {folder}: {exc}", hint=hint) from exc
