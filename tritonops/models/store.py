"""The store beside the models directory: verified files by their SHA-256, and what is under way.

.store/<sha256>     a verified file, read-only; installed versions are hard links to these
.store/partial/     files that are being fetched, each with its journal
.store/staging/     versions that are being put together; one rename takes them out
.store/lock         locked by the one process that may change any of it
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from io import FileIO
from pathlib import Path

from tritonops.errors import SourceError, StoreError, VerificationError
from tritonops.files import OnWait, locked

_CHUNK = 1 << 20


class Store:
    """Files under their SHA-256. Whoever changes it holds `locked()`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._hashed: set[str] = set()

    def blob(self, sha256: str) -> Path:
        """Where the file with this hash lies, or would lie."""
        return self.root / sha256

    def has(self, sha256: str) -> bool:
        """Whether the file is there; it was verified when it came."""
        return self.blob(sha256).is_file()

    def drop_damaged(self, sha256: str) -> None:
        """Hash a stored file, once, and drop it where it is not what its name says."""
        if sha256 not in self._hashed and self.has(sha256) and file_sha256(self.blob(sha256)) != sha256:
            self.blob(sha256).unlink()
        self._hashed.add(sha256)

    def require_space(self, size: int) -> None:
        """Raise StoreError, before the first byte, where the disk has not the room for the last."""
        reserved = sum(path.stat().st_blocks * 512 for path in _files(self.partial_dir))
        free = shutil.disk_usage(self.root).free
        if size > reserved + free:
            raise no_space(self.root, f"{size - reserved:,} bytes are needed, {free:,} are free")

    @cached_property
    def partial_dir(self) -> Path:
        """Files that are being fetched."""
        return self.root / "partial"

    def keep(self, file: Path, sha256: str) -> Path:
        """Move a verified file into the store, which is on the same filesystem."""
        file.chmod(0o444)
        return file.replace(self.blob(sha256))

    def copy_in(self, file: Path, sha256: str) -> Path:
        """Copy a file into the store, verifying the bytes as they are copied. Raises SourceError."""
        partial = self.partial_dir / sha256
        try:
            reader = file.open("rb", buffering=0)
        except OSError as exc:
            raise SourceError(f"cannot read {file}: {exc.strerror}", hint="models.toml names it as path.") from exc
        with reader, _translated(self.root):
            self.partial_dir.mkdir(parents=True, exist_ok=True)
            found = _copy_and_hash(reader, partial)
        if found != sha256:
            partial.unlink()
            raise VerificationError(
                f"{file} is not the file that was locked: its SHA-256 is not {sha256}",
                hint="If the new one is meant, lock it: inv models.lock --include NAME",
            )
        return self.keep(partial, sha256)

    def blobs(self) -> list[Path]:
        """Every stored file, by name."""
        return [path for path in _files(self.root) if re.fullmatch("[0-9a-f]{64}", path.name)]

    def partials(self) -> list[Path]:
        """Everything that an interrupted download left, journals included."""
        return _files(self.partial_dir)

    @contextmanager
    def locked(self, on_wait: OnWait) -> Iterator[None]:
        """Be the only process that changes the store; `on_wait` is told who owns the lock, when another does."""
        with ExitStack() as stack:
            with _translated(self.root):
                self.root.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.root / "lock", on_wait=on_wait))
            yield


@contextmanager
def staging(folder: Path) -> Iterator[None]:
    """Build something in `folder`, which is gone afterwards; what a killed run left there is gone before.

    The caller holds the store's lock, so whatever lies there belongs to nobody.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with _translated(folder):
            folder.mkdir(parents=True)
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def file_sha256(path: Path) -> str:
    """Hash a file."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_and_hash(reader: FileIO, target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("wb", buffering=0) as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
    return digest.hexdigest()


def disk_error(place: Path, error: OSError) -> StoreError:
    """Word what went wrong on the disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return no_space(place, "there is none left")
    return StoreError(f"cannot write to {place}: {error}", hint="TRITON_STORE_DIR says where the store lies.")


def no_space(place: Path, what: str) -> StoreError:
    """Word that the disk is full."""
    return StoreError(
        f"not enough space in {place}: {what}",
        hint="What has arrived is kept. Free some space (inv models.prune shows what can go) and run it again.",
    )


@contextmanager
def _translated(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise disk_error(place, exc) from exc


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
