"""What a version of Kubernetes knows, of what is rendered."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tritonops.documents import abbreviate
from tritonops.errors import InputError

OLDEST = (1, 20)


@dataclass
class ClusterVersion:
    """A version of Kubernetes; `left_out` names what was asked of it and is newer."""

    number: tuple[int, int]
    apis: frozenset[str] | None = None
    """The groups of custom resources that the cluster has, with their versions; None where it was not asked."""
    left_out: list[str] = field(default_factory=list)

    def has(self, number: tuple[int, int], what: str) -> bool:
        """Whether it has something since that version; what is left out is noted, in the words of `what`."""
        if self.number >= number:
            return True
        note = f"{what} (from Kubernetes {number[0]}.{number[1]})"
        if note not in self.left_out:
            self.left_out.append(note)
        return False

    def has_api(self, api: str, what: str) -> bool:
        """Whether it has an API of custom resources, as far as that is known; if not, that is noted."""
        if self.apis is None or api in self.apis:
            return True
        self.left_out.append(f"{what}: the cluster has no {api}")
        return False


def parse_version(
    text: str, apis: frozenset[str] | None = None, *, source: str = "--kubernetes-version"
) -> ClusterVersion:
    """Read a version as `kubectl version` writes it: "1.34", "v1.34.2", "1.31+". Raises InputError, which names the
    source.
    """
    found = re.fullmatch(r"v?(\d{1,2})\.(\d{1,3})([.+-]\S{0,60})?", text, re.ASCII)
    if found is None:
        raise InputError(
            f"{source}: expected a version like 1.34, got {abbreviate(text)}",
            hint="`kubectl version` shows the cluster's as Server Version.",
        )
    number = int(found[1]), int(found[2])
    if number < OLDEST:
        raise InputError(
            f"{source}: {OLDEST[0]}.{OLDEST[1]} is the oldest supported version, got {abbreviate(text)}",
            hint="Older ones have no startup probe.",
        )
    return ClusterVersion(number, apis)
