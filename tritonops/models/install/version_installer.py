"""Installs versions whose files are stored, unless models.toml or models.lock have changed meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from tritonops.errors import TritonOpsError
from tritonops.models.catalog.commit import Commits
from tritonops.models.catalog.lockfile import LockedVersion
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store
from tritonops.models.install.staging import Swap, staged

_BATCH = 16
"""Versions of one commit at most: each commit costs a few renames, and keeps others waiting."""


@dataclass
class InstallResult:
    """What came of an installation, by label."""

    installed: list[str] = field(default_factory=list)
    failed: dict[str, TritonOpsError] = field(default_factory=dict)
    objections: dict[str, str] = field(default_factory=dict)
    """Why models.toml or models.lock ask for something else by now."""


class VersionInstaller:
    """Installs versions in batches, each by one commit. The caller has locked the store.

    `earlier` is the lock as it was before: what its pins name may be replaced.
    """

    def __init__(
        self, store: Store, repository: Repository, commits: Commits, earlier: Mapping[str, LockedVersion]
    ) -> None:
        self._store, self._repository, self._commits, self._earlier = store, repository, commits, earlier

    def install(self, pins: Iterable[LockedVersion]) -> InstallResult:
        """Install versions; one that fails does not keep the others from it."""
        result = InstallResult()
        for batch in batches(pins):
            self._install_batch(batch, result)
        return result

    def _install_batch(self, batch: Mapping[str, LockedVersion], result: InstallResult) -> None:
        try:
            with ExitStack() as stages:
                swaps = {label: swap for label in batch if (swap := self._stage(batch[label], stages, result))}
                stages.enter_context(self._commits.locked())
                stages.enter_context(self._repository.changing())
                objections = self._commits.objections({label: batch[label] for label in swaps})
                result.objections |= objections
                for label in [label for label in swaps if label not in objections]:
                    _swap(label, swaps[label], result)
        except TritonOpsError as exc:
            for label in batch.keys() - {*result.installed, *result.failed}:
                result.failed[label] = exc

    def _stage(self, pin: LockedVersion, stages: ExitStack, result: InstallResult) -> Swap | None:
        try:
            earlier = self._earlier.get(pin.label)
            return stages.enter_context(staged(self._store, pin, self._repository, earlier=earlier))
        except TritonOpsError as exc:
            result.failed[pin.label] = exc
            return None


def _swap(label: str, swap: Swap, result: InstallResult) -> None:
    try:
        swap()
    except TritonOpsError as exc:
        result.failed[label] = exc
    else:
        result.installed.append(label)


def batches(pins: Iterable[LockedVersion]) -> Iterator[dict[str, LockedVersion]]:
    """Divide versions, by label, into commits, each with one version of a model: a model is staged in one folder."""
    left = {pin.label: pin for pin in pins}
    while left:
        of_each_model = {pin.name: label for label, pin in reversed(left.items())}
        yield {label: left.pop(label) for label in [*reversed(of_each_model.values())][:_BATCH]}
