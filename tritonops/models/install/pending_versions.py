"""Versions whose files are still being fetched."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tritonops.models.sources.listing import Listing


class PendingVersions:
    """Tells which versions are complete as their files arrive.

    One whose small files have no SHA-256 yet is never complete here: it is not pinned before the end, and without a pin
    the next run could take it for somebody else's.
    """

    def __init__(self, listings: Iterable[Listing], missing: Collection[str]) -> None:
        self._missing: dict[str, set[str]] = {}
        """Keys of missing files, by label."""
        self._waiting: dict[str, list[Listing]] = {}
        """Versions by the key of a missing file."""
        for listing in listings:
            if all(file.sha256 for file in listing.files):
                keys = {file.key for file in listing.files if file.key in missing}
                self._missing[listing.version.label] = keys
                for key in keys:
                    self._waiting.setdefault(key, []).append(listing)

    def arrived(self, keys: Sequence[str]) -> list[Listing]:
        """Record stored files, and list the versions that they complete."""
        complete = []
        for key in keys:
            for listing in self._waiting.get(key, ()):
                missing = self._missing[listing.version.label]
                missing.discard(key)
                if not missing:
                    complete.append(listing)
        return complete
