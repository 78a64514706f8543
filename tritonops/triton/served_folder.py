"""The models directory that a server reads, and notes beside it of which files each server was last seen to serve.

Triton does not say when, or from which files, it loaded a model, and a load is a no-op unless the newest time
below the model grew. So what was loaded is written down, and a model whose files are others since is touched.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import quote

from tritonops.documents import MAX_RECORD, parse_record
from tritonops.errors import ConfigError, RepositoryError, UnreadableFileError
from tritonops.files import read_text, write_json
from tritonops.models.configs.pbtxt import ModelConfig, parse_config
from tritonops.models.configs.pbtxt import read_text as read_config_text
from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.models.disk.repository import CONFIG_NAME, Repository

_SHARED = "shared"


@dataclass(frozen=True)
class ModelOnDisk:
    """What a model's folder holds at one moment."""

    name: str
    folder: Path
    text: str | None
    """config.pbtxt; None where there is none, or it is not to be read."""
    unreadable: ConfigError | None
    versions: tuple[int, ...]
    files: Mapping[str, str]
    """A fingerprint of each version's files, and one of the files that all versions share."""

    @functools.cached_property
    def config_error(self) -> ConfigError | None:
        """Why config.pbtxt says nothing; None where it says something, or is not there."""
        try:
            parse_once(self.text or "", str(self.folder / CONFIG_NAME))
        except ConfigError as exc:
            return exc
        return self.unreadable

    @property
    def config(self) -> ModelConfig | None:
        """What config.pbtxt says."""
        if self.text is None or self.config_error:
            return None
        return parse_once(self.text, str(self.folder / CONFIG_NAME))

    @functools.cached_property
    def served(self) -> tuple[int, ...]:
        """The versions that Triton is to serve: those on disk that the version policy picks."""
        # Parsing is slow, and most configs set no policy.
        config = self.config if "version_policy" in (self.text or "") else None
        return policy_of(config).served(self.versions)

    def same_files(self, other: Mapping[str, str], version: int) -> bool:
        """Whether a version's files, and the shared ones, have these fingerprints too."""
        return all(self.files.get(key) == other.get(key) for key in (_SHARED, str(version)))


@dataclass(frozen=True)
class LoadRecord:
    """What a server was seen to serve of one model, right after a load that was verified."""

    files: Mapping[str, str]
    config: str | None
    """config.pbtxt as it was."""
    served_config: str
    """The ModelConfig that was served, as `pack_config` gives it."""
    newest: int
    """The newest time of anything below the model, in nanoseconds; Triton takes no notice of what is not newer."""


@dataclass(frozen=True)
class ServedFolder:
    """The models of one models directory, and the notes about the server at one address."""

    models_dir: Path
    records_dir: Path
    log: Path
    """What an embedded Triton of this models directory writes; another Triton's log is out of reach."""
    callers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For each model that others call by themselves, as models.toml declares with `depends_on`: those others."""

    @classmethod
    def of(cls, models_dir: Path, url: str, *, callers: Mapping[str, tuple[str, ...]] | None = None) -> ServedFolder:
        """The notes and the log lie in `X/.server`, beside `X/triton`."""
        beside = models_dir.with_name(".server")
        address = url.replace("localhost:", "127.0.0.1:")
        return cls(models_dir, beside / "loaded" / quote(address, safe=""), beside / "triton.log", callers or {})

    def config_text(self, name: str) -> str | None:
        """Give config.pbtxt of a model as it is; None where there is none to read."""
        return _read_config(self.models_dir / name / CONFIG_NAME)[0]

    def log_end(self) -> int:
        """Where the log ends now."""
        return self.log.stat().st_size if self.log.exists() else 0

    def logged_since(self, end: int) -> str:
        """Read what was logged since; nothing where no server writes there."""
        try:
            with self.log.open("rb") as log:
                log.seek(end)
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def read(self, name: str) -> ModelOnDisk | None:
        """Look at a model that Triton is shown; None where it is not in the models directory."""
        folder = self.models_dir / name
        if not folder.is_dir():
            return None
        text, error = _read_config(folder / CONFIG_NAME)
        versions = Repository(self.models_dir).versions(name)
        return ModelOnDisk(name, folder, text, error, versions, _fingerprints(folder))

    def record(self, name: str) -> LoadRecord | None:
        """Recall what the server was last seen to serve of a model; None where nobody wrote it down."""
        try:
            return parse_record(LoadRecord, read_text(self._path(name), MAX_RECORD))
        except (UnreadableFileError, ValueError):
            return None

    def save(self, name: str, record: LoadRecord) -> None:
        """Write down what the server serves. Where that is impossible, the next load takes nothing for granted."""
        with suppress(OSError):
            self.records_dir.mkdir(parents=True, exist_ok=True)
            write_json(self._path(name), asdict(record), sync=False)

    def discard(self, name: str) -> None:
        """Drop the note about a model that is no longer served, or whose load failed."""
        with suppress(OSError):
            self._path(name).unlink(missing_ok=True)

    def discard_before(self, started: float) -> None:
        """Drop what was noted before the server started, in seconds since the epoch: it has loaded all anew since."""
        for note in self.records_dir.glob("*.json"):
            with suppress(OSError):
                if note.stat().st_mtime < started:
                    note.unlink()

    def _path(self, name: str) -> Path:
        return self.records_dir / f"{quote(name, safe='')}.json"


def pack_config(served: ModelConfig) -> str:
    """Write a ModelConfig as a text that is the same for the same config, to see later whether it is served still."""
    return base64.b64encode(served.SerializeToString(deterministic=True)).decode()


def unpack_config(served: str) -> ModelConfig:
    """Read a ModelConfig that `pack_config` wrote; an empty one where the text is damaged."""
    from google.protobuf.message import DecodeError
    from tritonclient.grpc.model_config_pb2 import ModelConfig as Message

    config: ModelConfig = Message()
    with suppress(ValueError, DecodeError):
        config.ParseFromString(base64.b64decode(served))
    return config


def newest_time(model: ModelOnDisk) -> int:
    """Find the newest time of anything below the model, as Triton does, in nanoseconds."""
    return max((max(stat.st_mtime_ns, stat.st_ctime_ns) for _, stat in _walk(model.folder)), default=0)


def touch(model: ModelOnDisk, record: LoadRecord | None) -> None:
    """Make every version newer than anything that Triton has seen below the model, so that its load is no no-op.

    Times may lie in the future: a clock was wrong, or an archive was. Raises RepositoryError where the version
    folders are not ours to touch.
    """
    when = max(time.time_ns(), newest_time(model) + 1, (record.newest if record else 0) + 1)
    try:
        for version in model.served:
            os.utime(model.folder / str(version), ns=(when, when))
    except OSError as exc:
        raise RepositoryError(
            f"cannot touch {model.folder}, without which Triton takes no notice of an older file: {exc}",
            hint=f"Run it as the owner of that folder, or `inv triton.unload {model.name}` before the load.",
        ) from exc


@functools.lru_cache(maxsize=1024)
def parse_once(text: str, where: str) -> ModelConfig:
    """Parse a config; a plan looks at each several times, and the parser is slow. Nobody may change the result."""
    return parse_config(text, where=where)


def policy_of(config: ModelConfig | None) -> VersionPolicy:
    """Read the version policy; Triton's own is the newest version."""
    return (VersionPolicy.of(config) if config is not None else None) or VersionPolicy("latest")


def _read_config(path: Path) -> tuple[str | None, ConfigError | None]:
    try:
        return (read_config_text(path), None) if path.exists() else (None, None)
    except ConfigError as exc:
        return None, exc


def _fingerprints(folder: Path) -> dict[str, str]:
    """Names, sizes, times and inodes: to hash models of gigabytes for each look would take too long."""
    lines: dict[str, list[str]] = {_SHARED: []}
    for path, stat in _walk(folder):
        part, *rest = path.relative_to(folder).parts
        if path.is_dir() or (part == CONFIG_NAME and not rest) or "__pycache__" in rest:
            continue
        key = part if rest and part.isdecimal() else _SHARED
        lines.setdefault(key, []).append(f"{part}/{'/'.join(rest)} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}")
    return {key: hashlib.sha256("\n".join(sorted(lines[key])).encode()).hexdigest()[:16] for key in lines}


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below a folder, through links, as Triton looks at it; what vanishes meanwhile is left out."""
    for parent, directories, files in os.walk(folder, followlinks=True):
        for name in [*directories, *files]:
            path = Path(parent, name)
            try:
                yield path, path.stat()
            except OSError:
                continue
