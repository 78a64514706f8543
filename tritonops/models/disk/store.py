"""The store of the models directory: verified files by their SHA-256, and partial ones.

.store/<sha256>     a verified file, read-only; installed versions are hard links to these
.store/digests.json which files were read and found to be what they are called
.store/replaced/    what commands replaced and did not make themselves
.store/partial/     files that are being fetched, each with its journal
.store/staging/     versions that are being put together; one rename takes them out
.store/lock         locked by the one process that may change any of it
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from io import FileIO
from pathlib import Path

from tritonops.errors import SourceError, StoreError, VerificationError
from tritonops.file_lock import OnWait, locked
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.disk.hard_links import link_or_copy
from tritonops.models.disk.replaced_files import ReplacedFiles, require_no_link
from tritonops.process_environment import user_name

_CHUNK = 1 << 20


class Store:
    """Files under their SHA-256. Changes need `locked()`.

    A stored file counts only while its bytes are those of its name. With `rehash`, every file is read again for that.
    """

    def __init__(self, root: Path, *, rehash: bool = False) -> None:
        self.root = root
        self.digests = DigestCache(root / "digests.json", trust_saved=not rehash)

    @cached_property
    def _replaced(self) -> ReplacedFiles:
        return ReplacedFiles(self.root)

    def blob(self, sha256: str) -> Path:
        """Where the file with this hash lies, or would lie."""
        return self.root / sha256

    def has(self, sha256: str) -> bool:
        """Whether the file is there, undamaged; a link to a file elsewhere is not."""
        blob = self.blob(sha256)
        try:
            found = os.lstat(blob)
            return stat.S_ISREG(found.st_mode) and (self.digests.of(found) or self.digests.sha256(blob)) == sha256
        except OSError:
            return False

    def is_ours(self, path: Path) -> bool:
        """Whether a file is a hard link to an undamaged stored file."""
        try:
            found = os.lstat(path)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink < 2:
                return False
            return os.path.samestat(found, os.lstat(self.blob(self.digests.sha256(path))))
        except OSError:
            return False

    def drop(self, sha256: str) -> None:
        """Delete a stored file, unless an installed version is a link to it."""
        with suppress(FileNotFoundError):
            if self.blob(sha256).stat().st_nlink == 1:
                self.blob(sha256).unlink()

    def require_space(self, size: int) -> None:
        """Raise StoreError, before the first byte, where the disk has not the room for the last."""
        import shutil

        reserved = sum(path.stat().st_blocks * 512 for path in _files(self.partial_dir))
        free = shutil.disk_usage(self.root).free
        if size > reserved + free:
            raise no_space(self.root, f"{size - reserved:,} bytes are needed, {free:,} are free")

    @cached_property
    def partial_dir(self) -> Path:
        """Files that are being fetched."""
        return self.root / "partial"

    def keep(self, file: Path, sha256: str) -> Path:
        """Move a file, whose bytes the caller has verified, into the store, which is on the same filesystem.

        Something else in its place, such as a damaged file, is moved to `replaced/`. Raises OSError.
        """
        try:
            file.chmod(0o444)
        except PermissionError:  # begun by another user, who shares the store and could go on writing to it
            file = self._own_copy(file, sha256)
        blob = self._cleared_blob(sha256)
        file.replace(blob)
        self.digests.note(blob, sha256)
        return blob

    def _own_copy(self, file: Path, sha256: str) -> Path:
        copy = file.with_name(f"{file.name}.copy")
        with file.open("rb", buffering=0) as reader:
            if _copy_and_hash(reader, copy) != sha256:
                raise StoreError(f"{file} was changed by another user while it was stored", hint="Run it again.")
        copy.chmod(0o444)
        file.unlink()
        return copy

    def adopt(self, file: Path, sha256: str) -> None:
        """Take a file with these bytes into the store: as a link where nothing else shares it, else as a copy.

        The file stays where it is. Raises SourceError and StoreError.
        """
        found = file.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or found.st_uid != os.geteuid():
            self.copy_in(file, sha256)
            return
        with _translated(self.root):
            blob = self._cleared_blob(sha256)
            link_or_copy(file, blob)
            blob.chmod(0o444)
            self.digests.note(blob, sha256)

    def link(self, sha256: str, target: Path) -> None:
        """Make `target` a hard link to a stored file, or a copy of it. Raises StoreError for one that is damaged."""
        if not self.has(sha256):
            raise StoreError(
                f"{self.blob(sha256)} is damaged, or gone", hint="Run it again: what is damaged is fetched again."
            )
        link_or_copy(self.blob(sha256), target)
        self.digests.note(target, sha256)  # a link's ctime is the stored file's too

    def _cleared_blob(self, sha256: str) -> Path:
        blob = self.blob(sha256)
        if os.path.lexists(blob) and not self.has(sha256):
            self._replaced.move_away(blob)
        return blob

    def partial(self, key: str) -> Path:
        """Where a file is put together. What is no file of ours there is moved to `replaced/`. Raises OSError."""
        for name in {key, f"{key}.journal"} & self._left_partials:
            self._left_partials.discard(name)
            with suppress(FileNotFoundError):
                found = (self.partial_dir / name).lstat()
                if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                    self._replaced.move_away(self.partial_dir / name)
                elif not found.st_mode & stat.S_IWUSR:  # killed when it was complete, just before it was stored
                    with suppress(PermissionError):  # another user's
                        (self.partial_dir / name).chmod(stat.S_IMODE(found.st_mode) | stat.S_IWUSR)
        return self.partial_dir / key

    @cached_property
    def _left_partials(self) -> set[str]:
        require_no_link(self.partial_dir)
        with suppress(FileNotFoundError):
            return {path.name for path in self.partial_dir.iterdir()}
        return set()

    def copy_in(self, file: Path, sha256: str) -> None:
        """Copy a file into the store, verifying the bytes as they are copied. Raises SourceError and StoreError."""
        with self._copied(file, sha256) as (partial, found):
            if found == sha256:
                self.keep(partial, sha256)
                return
        raise VerificationError(
            f"{file} is not the file that was locked: its SHA-256 is not {sha256}",
            hint="If the new one is meant, lock it: inv models.lock --include NAME",
        )

    def copy_new(self, file: Path) -> str:
        """Copy a file into the store, and give its SHA-256; it is read once. Raises SourceError and StoreError."""
        import hashlib

        with self._copied(file, hashlib.sha256(os.fsencode(file)).hexdigest()) as (partial, found):
            self.keep(partial, found)
            return found

    @contextmanager
    def _copied(self, file: Path, name: str) -> Iterator[tuple[Path, str]]:
        """Copy a file to a partial one, which is gone afterwards unless it was kept; gives its SHA-256 too."""
        try:
            reader = file.open("rb", buffering=0)
        except OSError as exc:
            raise SourceError(f"cannot read {file}: {exc.strerror}", hint="models.toml names it as path.") from exc
        with reader, _translated(self.root):
            partial = self.partial(name)
            self.partial_dir.mkdir(parents=True, exist_ok=True)
            yield partial, _copy_and_hash(reader, partial)
            partial.unlink(missing_ok=True)

    def blobs(self) -> list[Path]:
        """Every stored file, by name; links to files elsewhere are none."""
        named = (path for path in _files(self.root) if re.fullmatch("[0-9a-f]{64}", path.name))
        return [path for path in named if not path.is_symlink()]

    def partials(self) -> list[Path]:
        """Everything that an interrupted download left, journals included."""
        return _files(self.partial_dir)

    @contextmanager
    def locked(self, work: str, *, on_wait: OnWait) -> Iterator[None]:
        """Lock the store against other processes. `work`, such as "downloading", is what these are told about this one.

        `on_wait` is told who owns the lock, and at what work, where another process does.
        """
        with ExitStack() as stack:
            with _translated(self.root):
                self.root.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.root / "lock", work=work, on_wait=on_wait))
            stack.callback(self.digests.save)
            yield


@contextmanager
def staging(folder: Path) -> Iterator[None]:
    """Build something in `folder`, which is gone afterwards. Only links and copies may be put there."""
    import shutil

    try:
        with _translated(folder):
            folder.mkdir(parents=True)
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def file_sha256(path: Path) -> str:
    """Hash a file."""
    import hashlib

    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_and_hash(reader: FileIO, target: Path) -> str:
    import hashlib

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
    hint = "TRITON_STORE_DIR says where the store lies."
    if error.errno in (errno.EACCES, errno.EPERM) and place.exists():
        owner = user_name(place.stat().st_uid)
        hint = f"It belongs to {owner}. To share it: umask 002 for all, chmod -R g+rwX {place}. {hint}"
    return StoreError(f"cannot write to {place}: {error}", hint=hint)


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
