"""Read the release of a target from the checkout."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from tritonops.errors import InputError, PartialFailureError, TritonOpsError
from tritonops.files import read_bytes
from tritonops.kubernetes.release.catalog_text import format_catalog
from tritonops.kubernetes.release.release import CONFIGS, FOLDER, Release
from tritonops.kubernetes.targets.target import Target
from tritonops.models.catalog.catalog import Catalog, ModelVersion, PathSource
from tritonops.models.catalog.lockfile import LockedVersion, format_lock, mismatch, requested
from tritonops.models.configs.declared import declared_text
from tritonops.models.configs.pbtxt import parse_config, read_text
from tritonops.models.configs.variants import MAX_LABELS, label_files, source_path
from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.models.sources.path_source import list_local_files, require_unchanged
from tritonops.project import Project

MAX_SOURCES = 900_000
"""Bytes of all files of `path` sources that travel as ConfigMaps."""
_SOURCES = "sources"
# Triton 2.51 takes the path of a request as it is, and its Python backend passes the name to a shell.
_NAME = re.compile(r"[\w.@%+=:,-]+")
_NAME_HINT = "Expected letters, digits and the characters . _ - @ % + = : and a comma."


def read_release(project: Project, target: Target, *, has_image_volumes: bool = False) -> Release:
    """Read what a target serves: the entries of models.toml that are for it, with pins, configs and small sources.

    With `has_image_volumes`, pods mount the target's models_image, which has the files of local sources too. Raises
    PartialFailureError that names each model that cannot be rendered, and InputError.
    """
    versions = [version for version in project.catalog.versions if target.serves(version.hosts)]
    if not versions:
        raise InputError(
            f"{project.catalog.path} has no model for the target {target.name}",
            hint="`hosts` of its entries may name other hosts and groups only.",
        )
    models_image = target.models_image if has_image_volumes else None
    reader = _Reader(project, target, versions)
    reader.read(with_sources=models_image is None and target.init_sources is None)
    return Release(
        files=dict(sorted(reader.files.items())),
        expected=tuple(sorted(reader.expected)),
        images=(target.image, target.init_image, *([target.models_image] if target.models_image else [])),
        size=sum(pin.size for pin in reader.pins),
        models_image=models_image,
    )


class _Reader:
    """Reads the parts of a release; what is wrong with each model is in `failures`."""

    def __init__(self, project: Project, target: Target, versions: Sequence[ModelVersion]) -> None:
        self._project, self._target = project, target
        self._before = versions
        self._versions = [_moved(version, target) for version in versions]
        self._catalog = Catalog(FOLDER / "models.toml", tuple(self._versions))
        self.files: dict[str, bytes] = {}
        self.pins: list[LockedVersion] = []
        self.expected: list[tuple[str, int]] = []
        self._failures: dict[str, str] = {}

    def read(self, *, with_sources: bool) -> None:
        """Read everything. Raises PartialFailureError with exit code 2, and InputError."""
        for before, version in zip(self._before, self._versions, strict=True):
            self._try(version.label, partial(self._pin, before, version))
        for name in self._catalog.names:
            self._try(name, partial(self._read_config, name))
        if with_sources and not self._failures:
            self._read_sources()
        if self._failures:
            raise PartialFailureError(
                f"not everything can be rendered for the target {self._target.name}", self._failures, exit_code=2
            )
        self.files["models.toml"] = format_catalog(self._versions, FOLDER).encode()
        self.files["models.lock"] = format_lock(self.pins).encode()

    def _try(self, name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except TritonOpsError as exc:
            self._failures.setdefault(name, exc.in_one_line)

    def _pin(self, before: ModelVersion, version: ModelVersion) -> None:
        pin, path = self._project.lock.get(before.label), self._project.catalog.path
        if pin is None:
            raise InputError("is not locked", hint="inv models.lock")
        if why := mismatch(before, pin, path):
            raise InputError(why, hint=f"inv models.lock --include {before.name}")
        self.pins.append(replace(pin, source=requested(version, self._catalog.path)))

    def _read_config(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise InputError("the probes cannot ask for its name over HTTP", hint=_NAME_HINT)
        path = source_path(self._project.settings.config_dir, name, self._target.variant)
        if not path.exists():
            raise InputError(f"there is no {path}", hint=f"inv models.generate-config {name}")
        text = read_text(path)
        config = parse_config(text, where=str(path))
        self.files[f"{CONFIGS}/{name}/{path.name}"] = text.encode()
        for labels in label_files(config, path.parent):
            self.files[f"{CONFIGS}/{name}/{labels.name}"] = read_bytes(labels, MAX_LABELS)
        policy = VersionPolicy.of(parse_config(declared_text(self._catalog, name, text))) or VersionPolicy("latest")
        versions = tuple(sorted(version.version for version in self._catalog.versions_of(name)))
        served = policy.served(versions)
        if not served:
            raise InputError(f"{path}: the version policy {policy} serves none of {', '.join(map(str, versions))}")
        self.expected += [(name, version) for version in served]

    def _read_sources(self) -> None:
        local = [version for version in self._before if isinstance(version.source, PathSource)]
        pins = {pin.label: pin for pin in self.pins}
        total = sum(pins[version.label].size for version in local)
        if total > MAX_SOURCES:
            raise InputError(
                f"the `path` sources of {', '.join(version.label for version in local)} have {total:,} bytes; as "
                f"ConfigMaps, {MAX_SOURCES:,} can travel",
                hint="Give them a url with its sha256, or a repository of the Hub; or build them into the init image, "
                "and name their folder as init_sources; or all models into an image, as models_image.",
            )
        for version in local:
            self._try(version.label, partial(self._read_source, version, pins[version.label]))

    def _read_source(self, version: ModelVersion, pin: LockedVersion) -> None:
        assert isinstance(version.source, PathSource)
        require_unchanged(version, version.source, pin, self._project.store.digests)
        for target, path in list_local_files(version, version.source).items():
            self.files[f"{_source_folder(version)}/{target}"] = read_bytes(path, MAX_SOURCES)


def _moved(version: ModelVersion, target: Target) -> ModelVersion:
    """Give an entry as the pods read it: the files of a `path` source lie in the release, or in the init image."""
    moved = replace(version, hosts=())
    if not isinstance(version.source, PathSource):
        return moved
    folder = _source_folder(version) if target.init_sources is None else _image_folder(version, target.init_sources)
    return replace(moved, source=PathSource(FOLDER / folder / version.local_name))


def _source_folder(version: ModelVersion) -> str:
    return f"{_SOURCES}/{version.name}/{version.version}"


def _image_folder(version: ModelVersion, init_sources: str) -> str:
    return f"{init_sources}/{version.name}/{version.version}"
