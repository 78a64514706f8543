"""Commits: changes to models.toml, models.lock and the models directory, by one process at a time.

A commit re-reads both files, changes them and renames folders. It never waits for a network or a person: what takes
long is done before, and a commit that finds another entry than the work was done for drops that work.

Three locks, taken in this order; a step takes only those that it needs:

Store.locked()          one transfer into the store at a time
Commits.locked()        the commit; its file is in models.toml's folder
Repository.changing()   the renames in a models directory
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Timer

from tritonops.errors import StoreError, TritonOpsError
from tritonops.file_lock import OnWait, locked
from tritonops.files import write_text
from tritonops.models.catalog.catalog import Catalog, ModelVersion
from tritonops.models.catalog.lockfile import (
    Lock,
    LockedVersion,
    format_lock,
    mismatch,
    parse_lock,
    pin_of,
    read_lock_text,
)
from tritonops.models.catalog.parsing import parse_catalog, read_catalog_text

_ATTEMPTS = 20
"""Edits of a file that somebody else saves again and again."""

_QUIET = 2.0
"""Seconds for which the wait for another commit is not worth a message."""


class Commits:
    """The commits of one run. `catalog`, `pins` and the edits are for the block of `locked()`."""

    def __init__(self, models_toml: Path, *, on_wait: OnWait = lambda owner: None) -> None:
        self.models_toml, self.lock_path = models_toml, models_toml.with_suffix(".lock")
        self._on_wait = on_wait
        self._catalog: tuple[str, Catalog] | None = None
        self._pins: tuple[str, Lock] | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other commit to this models.toml out. Raises StoreError where the lock cannot be taken.

        In a folder that this user cannot write to, nothing is locked: models.toml cannot be edited from here.
        """
        folder = Path(os.path.realpath(self.models_toml)).parent
        with ExitStack() as stack:
            if os.access(folder, os.W_OK | os.X_OK):
                try:
                    (folder / ".store").mkdir(exist_ok=True)
                    with self._telling_who() as on_wait:
                        stack.enter_context(locked(folder / ".store" / "commit.lock", on_wait=on_wait))
                except OSError as exc:
                    raise StoreError(f"cannot lock {folder / '.store'}: {exc.strerror}") from exc
            yield

    @contextmanager
    def _telling_who(self) -> Iterator[OnWait]:
        """Commits take milliseconds: only a long wait is worth a message."""
        timers: list[Timer] = []

        def on_wait(owner: str) -> None:
            timer = Timer(_QUIET, self._on_wait, [owner])
            timer.daemon = True
            timer.start()
            timers.append(timer)

        try:
            yield on_wait
        finally:
            for timer in timers:
                timer.cancel()

    @property
    def catalog(self) -> Catalog:
        """What models.toml says now. Raises CatalogError."""
        text = read_catalog_text(self.models_toml)
        if self._catalog is None or self._catalog[0] != text:
            self._catalog = text, parse_catalog(self.models_toml, text)
        return self._catalog[1]

    @property
    def pins(self) -> Lock:
        """What models.lock says now, by label. Raises InputError."""
        return self._parse_pins(read_lock_text(self.lock_path))

    def _parse_pins(self, text: str) -> Lock:
        if self._pins is None or self._pins[0] != text:
            self._pins = text, parse_lock(self.lock_path, text)
        return self._pins[1]

    def edit_catalog(self, change: Callable[[str], str]) -> None:
        """Rewrite models.toml. `change` is called again where an editor saved the file meanwhile.

        Raises TritonOpsError where the file cannot be written; then it is as it was.
        """
        try:
            _edit(self.models_toml, lambda: read_catalog_text(self.models_toml), change)
        except OSError as exc:
            raise TritonOpsError(f"cannot write {self.models_toml}: {exc.strerror}", hint=_whose(exc)) from exc

    def pin(self, pins: Lock, *, before: Lock) -> None:
        """Add pins to models.lock, and drop those of versions that models.toml does not have. Raises OSError.

        A version stays as it is where models.toml asks for something else by now, or where its pin is not the one that
        it had `before`: somebody else has pinned it.
        """

        def change(text: str) -> str:
            catalog, now = self.catalog, self._parse_pins(text)
            after = {version.label: self._newer(version, now, pins, before) for version in catalog.versions}
            kept = {label: pin for label, pin in after.items() if pin}
            if kept == now:
                return text
            self._pins = format_lock(kept.values()), kept  # not parsed again, where the file says just that
            return self._pins[0]

        _edit(self.lock_path, lambda: read_lock_text(self.lock_path), change)

    def drop_stale_pins(self) -> None:
        """Drop the pins of versions that models.toml does not have. Raises TritonOpsError."""
        try:
            self.pin({}, before={})
        except OSError as exc:
            raise TritonOpsError(f"cannot write {self.lock_path}: {exc.strerror}", hint=_whose(exc)) from exc

    def _newer(self, version: ModelVersion, now: Lock, pins: Lock, before: Lock) -> LockedVersion | None:
        label = version.label
        pin, valid = pins.get(label), pin_of(version, now, self.models_toml)
        if pin is None or mismatch(version, pin, self.models_toml) or (valid and valid != before.get(label)):
            return now.get(label)
        return pin

    def objections(self, pins: Lock) -> dict[str, str]:
        """Say, by label, which of these pins are not to be installed, as models.toml or models.lock ask for others."""
        if not pins:
            return {}
        entries, now = {entry.label: entry for entry in self.catalog.versions}, self.pins
        found = {label: self._objection(entries.get(label), pin, now) for label, pin in pins.items()}
        return {label: objection for label, objection in found.items() if objection}

    def _objection(self, entry: ModelVersion | None, pin: LockedVersion, now: Lock) -> str | None:
        if entry is None:
            return f"it was removed from {self.models_toml.name} meanwhile"
        if why := mismatch(entry, pin, self.models_toml):
            return f"{self.models_toml.name} was changed meanwhile: {why}"
        if (pin_of(entry, now, self.models_toml) or pin) != pin:
            return f"{self.lock_path.name} was changed meanwhile, and pins other files"
        return None


class _SavedMeanwhileError(Exception):
    """An editor saved the file between the read and the rename."""


def _edit(path: Path, read: Callable[[], str], change: Callable[[str], str]) -> None:
    for _ in range(_ATTEMPTS):
        before = read()
        after = change(before)
        if after == before:
            return
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        def compare(before: str = before) -> None:
            if read() != before:
                raise _SavedMeanwhileError

        with suppress(_SavedMeanwhileError):
            write_text(path, after, only_writer=True, before_rename=compare)
            return
    raise TritonOpsError(f"cannot edit {path}: it changes all the time", hint="Who else writes to it?")


def _whose(error: OSError) -> str | None:
    permission = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    return "Run it as the file's owner, or set MODELS_TOML to a copy of your own." if permission else None
