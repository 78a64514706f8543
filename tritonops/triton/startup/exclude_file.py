"""The models that a container leaves out when it starts: `.exclude` in the models directory.

One model can hang or crash the start of Triton, and with it all others. `docker compose up`, a restart by the engine
and a reboot load the models without tritonops, so the start command reads the models to leave out from a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tritonops.documents import MAX_RECORD
from tritonops.errors import RepositoryError
from tritonops.file_lock import locked
from tritonops.files import make_readable, read_text_if_present, write_text
from tritonops.models.disk.repository import Repository
from tritonops.models.rules.hazards import hazard, steps_on_disk
from tritonops.triton.disk.served_folder import ServedFolder

EXCLUDE_FILE = ".exclude"
_HEADER = """\
# Models that a container does not load when it starts: name, fingerprint of the files, reason.
# `inv compose.up` writes this, and removes a model whose files changed; so does a load that succeeds.
"""


class _Exclusion(NamedTuple):
    fingerprint: str
    """Of the files that hung or crashed Triton; empty for a reason that each refresh determines again."""
    reason: str


_Exclusions = Mapping[str, _Exclusion]


@dataclass(frozen=True)
class ExcludeFile:
    """The exclude file of one models directory. Each change raises RepositoryError where it cannot be written."""

    models_dir: Path

    @property
    def path(self) -> Path:
        """The file, which does not exist while nothing is excluded."""
        return self.models_dir / EXCLUDE_FILE

    def reasons(self) -> dict[str, str]:
        """Give the reason of each excluded model."""
        return {name: entry.reason for name, entry in self._read().items()}

    def refresh(self, refuse: Callable[[str], str | None] = lambda name: None) -> dict[str, str]:
        """Exclude models that would hang or crash the start, remove those that were fixed, and return the reasons.

        `refuse` gives further reasons to exclude a model.
        """

        def change(entries: _Exclusions) -> _Exclusions:
            unchanged = {name: entry for name, entry in entries.items() if self._is_unchanged(name, entry)}
            names = [name for name in Repository(self.models_dir).enabled_names() if name not in unchanged]
            reasons = {name: refuse(name) or hazard(self.models_dir / name) for name in names}
            return {**unchanged, **{name: _Exclusion("", reason) for name, reason in reasons.items() if reason}}

        return self._change(change)

    def add(self, reasons: Mapping[str, str], *, is_certain: bool = True) -> dict[str, str]:
        """Exclude models with their current files, and return all reasons; uncertain ones are tried again."""
        added = {
            name: _Exclusion(self._fingerprint(name) if is_certain else "", reason) for name, reason in reasons.items()
        }
        return self._change(lambda entries: {**entries, **added})

    def discard(self, *names: str) -> None:
        """Remove models."""
        if self.path.exists():
            self._change(lambda entries: {name: entry for name, entry in entries.items() if name not in names})

    def _change(self, change: Callable[[_Exclusions], _Exclusions]) -> dict[str, str]:
        old = self._read()
        new = self._with_ensembles(change(old))
        if new != old:
            with self._locked():
                new = self._with_ensembles(change(self._read()))
                self._write(new)
        return {name: entry.reason for name, entry in new.items()}

    def _with_ensembles(self, entries: _Exclusions) -> _Exclusions:
        """Exclude ensembles with an excluded step too: Triton loads an ensemble's steps with it."""
        if not entries:
            return entries
        entries = dict(entries)
        steps = {name: steps_on_disk(self.models_dir / name) for name in Repository(self.models_dir).enabled_names()}
        while more := {
            name: _Exclusion("", f"its step {step} would be loaded with it: {entries[step].reason}")
            for name in steps.keys() - entries.keys()
            for step in steps[name]
            if step in entries
        }:
            entries |= more
        return entries

    def _is_unchanged(self, name: str, entry: _Exclusion) -> bool:
        return bool(entry.fingerprint) and entry.fingerprint == self._fingerprint(name)

    def _fingerprint(self, name: str) -> str:
        model = ServedFolder.of(self.models_dir, "").read(name)
        if model is None:
            return ""
        return hashlib.sha256(f"{sorted(model.files.items())} {model.text}".encode()).hexdigest()[:16]

    def _read(self) -> _Exclusions:
        text = read_text_if_present(self.path, MAX_RECORD) or ""
        rows = (line.split("\t", 2) for line in text.splitlines() if line.count("\t") > 1)
        return {name: _Exclusion(fingerprint, reason) for name, fingerprint, reason in rows}

    def _write(self, entries: _Exclusions) -> None:
        for name, entry in entries.items():
            if not name.isprintable():
                raise RepositoryError(f"{str(self.models_dir / name)!r}: {entry.reason}", hint="Rename or remove it.")
        rows = [f"{name}\t{entry.fingerprint}\t{' '.join(entry.reason.split())}\n" for name, entry in entries.items()]
        if rows:
            write_text(self.path, _HEADER + "".join(sorted(rows)))
            make_readable(self.path)
        else:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        work_dir = Repository(self.models_dir).work_dir
        try:
            work_dir.mkdir(exist_ok=True)
            with locked(work_dir / "exclude.lock"):
                yield
        except OSError as exc:
            raise RepositoryError(
                f"cannot write {self.path}, which keeps a model from hanging or crashing the start: {exc.strerror}",
                hint=f"Make {self.models_dir} writable for this user, or fix or disable the model first.",
            ) from exc
