"""Ask git about a checkout: its tracked paths, its commit, an unfinished merge.

Plumbing commands only, in a clean environment: neither user settings nor variables of a hook change an answer. File
contents are not asked of git, since its ids are not those of the bytes on disk (LFS, autocrlf, filters).
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.display_text import one_line
from tritonops.errors import InputError
from tritonops.process_environment import inherited

_LINK, _SUBMODULE = "120000", "160000"
_NEUTRAL = {
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.safecrlf": "false",
    "i18n.logOutputEncoding": "UTF-8",
}
_IN_PROGRESS = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}
_HINT = "A deploy sends the files that git tracks, at a commit."


@dataclass(frozen=True)
class TrackedFile:
    """A tracked path, relative to the checkout; bytes that are not UTF-8 are surrogates."""

    path: str
    is_executable: bool
    """In git's index: some filesystems have no such bit."""
    is_sparse: bool
    """Whether a sparse checkout may omit it."""


@dataclass(frozen=True)
class Head:
    """The commit of a checkout, and whether its files differ from it."""

    commit: str
    subject: str
    is_changed: bool


@dataclass(frozen=True)
class _IndexEntry:
    """A line of the index; `tag` is S where a sparse checkout omits the file."""

    tag: str
    mode: str
    oid: str
    stage: str
    path: str


def read_tracked(project: Path) -> list[TrackedFile]:
    """List what git tracks in this folder, submodules included.

    Raises InputError for a folder that is not a checkout, an unfinished merge, and a missing submodule.
    """
    _refuse_unfinished(project)
    found: list[TrackedFile] = []
    for entry in _index(project):
        if entry.mode == _SUBMODULE:
            found += _submodule(project, entry)
        else:
            found.append(TrackedFile(entry.path, entry.mode == "100755", entry.tag.upper() == "S"))
    return found


def read_head(project: Path) -> Head:
    """Read the commit, and compare all files with it, by content."""
    answer = _git(project, "rev-list", "--max-count=1", "--pretty=format:%h%x00%s", "HEAD")
    commit, _, subject = answer.partition("\n")[2].rstrip("\n").partition("\0")
    return Head(commit, one_line(subject), _is_changed(project))


def _refuse_unfinished(project: Path) -> None:
    git_dir = Path(_git(project, "rev-parse", "--absolute-git-dir").rstrip("\n"))
    for name, what in _IN_PROGRESS.items():
        if (git_dir / name).exists():
            problem = f"{project}: a {what} is in progress, so the files are neither the old nor the new ones"
            raise InputError(problem, hint=f"Finish it, or: git {what} --abort")


def _index(folder: Path) -> list[_IndexEntry]:
    entries = [_entry(record) for record in _git(folder, "ls-files", "--stage", "-v", "-z").split("\0") if record]
    unmerged = sorted({entry.path for entry in entries if entry.stage != "0"})
    if unmerged:
        raise InputError(f"{folder}: not merged: {_listed(unmerged)}", hint="Resolve it, then: git add")
    return entries


def _entry(record: str) -> _IndexEntry:
    words, _, path = record.partition("\t")
    tag, mode, oid, stage = words.split(" ")
    return _IndexEntry(tag, mode, oid, stage, path)


def _submodule(project: Path, entry: _IndexEntry) -> Iterator[TrackedFile]:
    folder = project / entry.path
    if os.path.lexists(folder / ".git"):
        for file in read_tracked(folder):
            yield TrackedFile(f"{entry.path}/{file.path}", file.is_executable, file.is_sparse)
    elif entry.tag.upper() != "S":
        problem = f"{project}: the submodule {_listed([entry.path])} is not checked out"
        raise InputError(problem, hint="git submodule update --init --recursive")


def _is_changed(folder: Path) -> bool:
    """Whether a tracked file differs from the commit; unknown counts as changed."""
    head, index = dict(_tree(folder)), {entry.path: entry for entry in _index(folder)}
    if head.keys() != index.keys():
        return True
    has_modes = _git(folder, "config", "--type=bool", "--default=true", "core.fileMode").strip() == "true"
    files: dict[str, str] = {}
    for path, (mode, oid) in head.items():
        file = folder / path
        if not os.path.lexists(file) and index[path].tag.upper() == "S":
            continue
        if mode == _SUBMODULE:
            is_same = _git(file, "rev-parse", "HEAD").strip() == oid and not _is_changed(file)
        elif file.is_symlink():
            is_same = mode == _LINK and _blob_id(os.fsencode(os.readlink(file)), oid) == oid  # noqa: PTH115
        else:
            is_same = file.is_file() and (not has_modes or mode == _LINK or _is_program(file) == (mode == "100755"))
            files[path] = oid
        if not is_same:
            return True
    return _hashed_by_git(folder, list(files)) != list(files.values())


def _is_program(file: Path) -> bool:
    return bool(file.stat().st_mode & stat.S_IXUSR)


def _tree(folder: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    for record in _git(folder, "ls-tree", "-r", "-z", "HEAD").split("\0"):
        if record:
            words, _, path = record.partition("\t")
            mode, _, oid = words.split(" ")
            yield path, (mode, oid)


def _hashed_by_git(folder: Path, paths: Sequence[str]) -> list[str] | None:
    """Hash these files as git would, with its filters; None where a filter fails."""
    top, prefix = _git(folder, "rev-parse", "--show-toplevel", "--show-prefix").split("\n")[:2]
    lines = "".join(f"{_quoted(prefix + path)}\n" for path in paths)
    try:
        return _git(Path(top), "hash-object", "--stdin-paths", stdin=lines).splitlines()
    except InputError:
        return None


def _quoted(path: str) -> str:
    if "\n" not in path and not path.startswith('"'):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _blob_id(content: bytes, like: str) -> str:
    digest = hashlib.sha256 if len(like) == 64 else hashlib.sha1
    return digest(b"blob %d\0%b" % (len(content), content)).hexdigest()


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(ascii(path)[1:-1] if not path.isprintable() else path for path in paths[:5])


def _git(folder: Path, *arguments: str, stdin: str = "") -> str:
    settings = [word for key, value in _NEUTRAL.items() for word in ("-c", f"{key}={value}")]
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *settings, *arguments],
            input=os.fsencode(stdin),
            env=_environment(),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as exc:
        raise InputError("git is not installed", hint=_HINT) from exc
    if done.returncode:
        raise InputError(f"{folder}: {done.stderr.decode(errors='replace').strip()}", hint=_HINT)
    return os.fsdecode(done.stdout)


def _environment() -> dict[str, str]:
    """Drop the variables of a git hook; keep GIT_CONFIG*, which may set safe.directory."""
    kept = {
        name: value
        for name, value in inherited().items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    return {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
