"""What a deploy sends: the files that git tracks, as they are in this folder now."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from tritonops.errors import InputError
from tritonops.git import Head, read_head, read_tracked
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.process_environment import who
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.client.manifest import Manifest, read_manifest
from tritonops.remote.layout.records import ReleaseRecord

_T = TypeVar("_T")
_NEEDED = ("inv", "models.toml", "requirements/runtime.txt")


@dataclass(frozen=True)
class GitCheckout:
    """A git checkout: the tracked files as they are in its folder, committed or not."""

    project: Path
    manifest: Manifest
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)
    """Each host has a thread; slow properties are computed once for all of them."""

    @property
    def models_toml(self) -> Path:
        """The catalogue that hosts get."""
        return self.project / "models.toml"

    @property
    def venv(self) -> str:
        """A digest of the runtime requirements: releases with the same one share an environment."""
        return hashlib.sha256((self.project / "requirements" / "runtime.txt").read_bytes()).hexdigest()[:12]

    @property
    def head(self) -> Head:
        """Its commit, and whether its files differ from it."""
        return self._once(lambda: self._head)

    @property
    def packed(self) -> bytes:
        """The tar of its small files."""
        return self._once(lambda: self._packed)

    @property
    def label(self) -> str:
        """Its part of a release's id."""
        return f"{self.head.commit}{'-changed' if self.head.is_changed else ''}"

    def fingerprint(self, host_settings: HostSettings) -> str:
        """Digest the content of a release for this host."""
        return _digest(self.manifest.digest, json.dumps({**asdict(host_settings), "name": host_settings.alias}))

    def release_record(self, host_settings: HostSettings, *, release: str, at: str) -> ReleaseRecord:
        """Describe a new release for this host; its id and the time are the host's own."""
        return ReleaseRecord(
            id=release,
            commit=self.head.commit,
            subject=self.head.subject + (" (with changes that are not committed)" if self.head.is_changed else ""),
            fingerprint=self.fingerprint(host_settings),
            by=who(),
            at=at,
            config=host_settings.config,
            runtime=host_settings.runtime,
            venv=self.venv,
            digest=self.manifest.digest,
        )

    def require_models(self, host_settings: HostSettings) -> None:
        """Raise InputError for a model file that models.toml names and a deploy would not send."""
        from tritonops.models.catalog.catalog import PathSource
        from tritonops.models.catalog.parsing import load_catalog
        from tritonops.models.sources.path_source import list_local_files

        for version in load_catalog(self.models_toml).versions:
            if host_settings.serves(version.hosts) and isinstance(version.source, PathSource):
                for path in list_local_files(version, version.source).values():
                    self._require_tracked(version.label, path)

    def _require_tracked(self, label: str, path: Path) -> None:
        """Require both a link and its target."""
        names = [os.path.relpath(path.resolve(), self.project.resolve())]
        names += [str(path.relative_to(self.project))] if path.is_relative_to(self.project) else []
        for name in names:
            if name not in self.manifest.paths:
                outside = name.startswith("../")
                problem = "lies outside of the checkout" if outside else "is not tracked by git"
                push = "deploy with --push, which sends exactly the bytes that models.lock names"
                raise InputError(
                    f"{label}: {path} {problem}, so a host would not get it",
                    hint=f"Move it into the checkout, or {push}." if outside else f"git add {name}, or {push}.",
                )

    def _once(self, compute: Callable[[], _T]) -> _T:
        with self._lock:
            return compute()

    @cached_property
    def _head(self) -> Head:
        return read_head(self.project)

    @cached_property
    def _packed(self) -> bytes:
        return self.manifest.pack()


def read_checkout(project: Path, *, store_dir: Path | None = None) -> GitCheckout:
    """Read the checkout; the store caches the digests of its large files.

    Raises InputError where git fails, and for a checkout that cannot be deployed.
    """
    tracked = read_tracked(project)
    _require_project(project, {file.path for file in tracked})
    digests = DigestCache((store_dir or project / ".store") / "digests.json")
    manifest = read_manifest(project, tracked, digests)
    digests.save()
    _require_project(project, manifest.paths)
    return GitCheckout(project, manifest)


def _require_project(project: Path, paths: Collection[str]) -> None:
    for name in _NEEDED:
        if name not in paths:
            what = "is missing" if not (project / name).exists() else "is not tracked by git in this folder"
            raise InputError(
                f"{project} cannot be deployed: {name} {what}",
                hint="A deploy sends tracked files. Clone the project, or here: git init, git add, git commit.",
            )


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode(errors="surrogateescape")).hexdigest()[:16]
