"""The models on disk: what Triton is shown, what it is not shown, and the moves between the two.

Every directory inside `triton/` is a model to Triton, so nothing is built there: a model, a version or a config
is made in `.store`, on the same filesystem, and appears by one rename.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from errno import EXDEV
from functools import cached_property
from pathlib import Path
from types import EllipsisType

from tritonops.errors import InputError, RepositoryError, UnknownModelError
from tritonops.file_lock import locked
from tritonops.files import make_readable, subdirectories, write_text
from tritonops.models.catalog.valid_values import MAX_VERSION, is_junk
from tritonops.models.disk.replaced_files import ReplacedFiles, require_no_link
from tritonops.models.disk.written_files import WrittenFiles

CONFIG_NAME = "config.pbtxt"


@dataclass(frozen=True)
class Repository:
    """A Triton model repository: `root` is `X/triton`; `X/triton-disabled` and `X/.store` belong to it."""

    root: Path

    @cached_property
    def disabled(self) -> Path:
        """The models that are hidden from Triton."""
        return self.root.with_name(f"{self.root.name}-disabled")

    @cached_property
    def replaced(self) -> ReplacedFiles:
        """Where this command moves what it replaces and tritonops did not make."""
        return ReplacedFiles(self.work_dir)

    @cached_property
    def work_dir(self) -> Path:
        """Locks and staging; always on `root`'s filesystem."""
        return self.root.with_name(".store")

    def enabled_names(self) -> tuple[str, ...]:
        """List the models that Triton is shown, installed by us or not."""
        return tuple(name for name in subdirectories(self.root) if not is_junk(name))

    def disabled_names(self) -> tuple[str, ...]:
        """List the models that Triton is not shown."""
        return tuple(name for name in subdirectories(self.disabled) if not is_junk(name))

    def names(self) -> tuple[str, ...]:
        """List every model on disk."""
        return tuple(sorted({*self.enabled_names(), *self.disabled_names()}))

    def home(self, name: str) -> Path | None:
        """Find the folder of a model, enabled or disabled; None where it is on disk in neither.

        Raises RepositoryError where it is in both: nobody can say which one is meant.
        """
        if name in ("", ".", "..") or "/" in name:
            return None
        # With names, not paths: this is asked several times of each of thousands of models.
        homes = [home for folder in self._folders if os.path.isdir(home := f"{folder}/{name}")]  # noqa: PTH112
        if len(homes) > 1:
            raise RepositoryError(
                f"{name} is in two places: {homes[0]} and {homes[1]}",
                hint="Compare them, and move one of them away by hand.",
            )
        return Path(homes[0]) if homes else None

    @cached_property
    def _folders(self) -> tuple[str, str]:
        return str(self.root), str(self.disabled)

    def versions(self, name: str) -> tuple[int, ...]:
        """List the versions of a model on disk, lowest first."""
        home = self.home(name)
        return () if home is None else versions_in(home)

    def version_dir(self, name: str, version: int) -> Path:
        """Where a version is, or would be installed."""
        return (self.home(name) or self.root / name) / str(version)

    def enable(self, name: str) -> Path:
        """Show a disabled model to Triton, by one rename. Returns where it is now."""
        return self._move(name, self.disabled, self.root, "enabled")

    def disable(self, name: str) -> Path:
        """Hide a model from Triton, by one rename. Returns where it is now."""
        return self._move(name, self.root, self.disabled, "disabled")

    def _move(self, name: str, source: Path, target: Path, state: str) -> Path:
        with self.changing():
            if name not in self.names():
                raise UnknownModelError(name, self.names(), where=f"the disk ({self.root})")
            if self.home(name) == target / name:
                raise InputError(f"{name} is {state} already: {target / name}", hint="Try `inv models.list`.")
            if os.path.lexists(target / name):
                raise RepositoryError(
                    f"cannot move {source / name}: {target / name} exists, and is no folder",
                    hint="Move one of them away by hand.",
                )
            target.mkdir(exist_ok=True)
            (source / name).rename(target / name)
            if not (target / name).is_dir():
                link = (target / name).readlink()
                (target / name).rename(source / name)
                raise RepositoryError(
                    f"{source / name} is a symbolic link to {link}, which would lead nowhere from {target}",
                    hint="Make it an absolute one.",
                )
        return target / name

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Lock the repository while `root` and `disabled` change. Keep it for renames, not for downloads.

        Raises RepositoryError where `root` cannot be changed by renames; turns an OSError of the block into one.
        """
        self.refuse_mount_point()
        with _translated(self.root):
            if not self.root.exists():
                self.root.mkdir(parents=True, exist_ok=True)
                make_readable(self.root)
            self.work_dir.mkdir(exist_ok=True)
            with locked(self.work_dir / "repository.lock"):
                yield

    def translated_errors(self) -> AbstractContextManager[None]:
        """Turn an OSError of the block into a RepositoryError."""
        return _translated(self.root)

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
        return self.work_dir / "configs"

    def config_path(self, name: str) -> Path:
        """Where the config.pbtxt of a model is, or would be written."""
        home = self.home(name)
        return home / CONFIG_NAME if home else self.pending_config(name)

    def broken_link(self, name: str) -> Path | None:
        """Find a symbolic link in the place of a model that leads to no folder."""
        links = (folder / name for folder in (self.root, self.disabled) if (folder / name).is_symlink())
        return next(links, None)

    def refuse_link(self, name: str) -> None:
        """Raise RepositoryError for a model whose folder is a symbolic link: what it points to is not written to."""
        for parent in self._folders:
            folder = f"{parent}/{name}"
            if os.path.islink(folder):  # noqa: PTH114 (asked several times of each model)
                target = Path(folder).readlink()
                raise RepositoryError(
                    f"{folder} is a symbolic link to {target}, and tritonops does not write through links",
                    hint=f"Change the files there yourself, or remove the link (rm {shlex.quote(folder)}).",
                )

    def copy_pending_config(self, name: str, model: Path) -> None:
        """Copy the config that waits for a model, with its labels, into the folder that will be the model's.

        The caller has locked `changing()`, renames the folder with its first version into `root`, and drops the rest.
        """
        import shutil

        for path in self._pending_files(name):
            shutil.copy2(path, model / path.name, follow_symlinks=False)

    def drop_pending_config(self, name: str) -> None:
        """Delete the config that waited for a model, which has it now. The caller has locked `changing()`."""
        if not os.path.lexists(self._pending):
            return
        for path in self._pending_files(name):
            path.unlink()
        with suppress(OSError):
            self.pending_config(name).parent.rmdir()

    def discard_pending_config(self, name: str) -> None:
        """Take away the config that waits for a model not to come; an edited one is kept in `.store/replaced/`."""
        waiting = self.pending_config(name).parent
        if self.home(name) is None and os.path.lexists(waiting):
            with self.changing():
                self.replaced.move_away(waiting, lambda path: self.is_written(name, path.name))

    def _pending_files(self, name: str) -> list[Path]:
        if not os.path.lexists(self._pending):
            return []
        require_no_link(self._pending)
        require_no_link(self._pending / name)
        with suppress(FileNotFoundError):
            return [path for path in (self._pending / name).iterdir() if path.is_symlink() or path.is_file()]
        return []

    def write_config(
        self,
        name: str,
        text: str,
        *,
        file_name: str = CONFIG_NAME,
        expected: str | EllipsisType | None = ...,
        keeps_text: bool = False,
        is_ours: bool | None = None,
    ) -> Path:
        """Write a model's config.pbtxt by one rename: where the model is, or where it waits for the model.

        With `file_name`, another file of the same folder. An earlier file that tritonops did not write is kept in
        `.store/replaced/`, unless `keeps_text` says that nothing of it is lost. `is_ours` is for a text that comes
        back: whether tritonops had written it; by default a text is ours, unless it keeps somebody else's.
        `expected` is the text that this one takes the place of, None for no file: raises RepositoryError, and writes
        nothing, where the file says something else by now.
        """
        with self.changing():
            self.refuse_link(name)
            target = self.config_path(name).with_name(file_name)
            if self.pending_config(name).parent == target.parent:
                require_no_link(self._pending)
                require_no_link(target.parent)

            def compare() -> None:
                there = target.read_bytes() if target.exists() else None
                if expected is not ... and there != (None if expected is None else expected.encode()):
                    raise RepositoryError(f"{target} was changed meanwhile, and is left alone", hint="Run it again.")

            compare()
            target.parent.mkdir(parents=True, exist_ok=True)
            was_ours = self.is_written(name, file_name)
            if not (was_ours or keeps_text):
                self.replaced.keep_copy(target)
            is_new = not target.exists()
            write_text(target, text, staging=self.work_dir, only_writer=True, before_rename=compare)
            if is_new:
                make_readable(target)
            if is_ours is None:
                is_ours = was_ours or not keeps_text
            if is_ours:
                self._written.add(f"{name}/{file_name}", text)
        return target

    def is_written(self, name: str, file_name: str) -> bool:
        """Whether a file of a model's folder is as tritonops wrote it."""
        return self._written.is_current(f"{name}/{file_name}", self.config_path(name).with_name(file_name))

    def write_source(self, path: Path, text: str) -> None:
        """Write a file of triton-config/; an earlier one that tritonops did not write is kept in `.store/replaced/`."""
        with self.changing():
            target = Path(os.path.realpath(path))  # a symbolic link stays, and its file is edited
            target.parent.mkdir(parents=True, exist_ok=True)
            if not self._written.is_current(str(target), target):
                self.replaced.keep_copy(target)
            write_text(target, text, only_writer=True)
            self._written.add(str(target), text)

    @cached_property
    def _written(self) -> WrittenFiles:
        return WrittenFiles(self.work_dir / "written.json")


def versions_in(model: Path) -> tuple[int, ...]:
    """List the versions in a model's folder, lowest first. As Triton does, skip names like "01" and "new".

    A number above int64 is no version either: models.check names it.
    """
    numbers = (int(folder) for folder in subdirectories(model) if re.fullmatch("[1-9][0-9]{0,18}", folder))
    return tuple(sorted(number for number in numbers if number <= MAX_VERSION))


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        siblings = f"{folder.name}, {folder.name}-disabled and .store"
        hint = f"{siblings} have to be on one filesystem." if exc.errno == EXDEV else None
        raise RepositoryError(f"cannot change {folder}: {exc}", hint=hint) from exc
