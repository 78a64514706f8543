"""The models directory that a server reads, and records of the files that each server was last seen to serve.

Triton does not tell when, or from which files, it loaded a model, and a load is a no-op unless the newest time
below the model grew. So each verified load is recorded, and a model whose files changed since is touched.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from stat import S_ISDIR
from urllib.parse import quote

from tritonops.documents import MAX_RECORD, parse_record
from tritonops.errors import ConfigError, UnreadableFileError
from tritonops.files import read_text, write_json
from tritonops.models.configs.pbtxt import ModelConfig, message_class, parse_config
from tritonops.models.configs.pbtxt import read_text_if_present as read_config_if_present
from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.models.disk.repository import CONFIG_NAME, Repository, versions_in

_SHARED = "shared"


@dataclass(frozen=True)
class ModelOnDisk:
    """A snapshot of a model's folder."""

    name: str
    folder: Path
    text: str | None
    """config.pbtxt; None if it does not exist or cannot be read."""
    unreadable: ConfigError | None
    versions: tuple[int, ...]
    files: Mapping[str, str]
    """A fingerprint of each version's files, and one of the files that all versions share."""

    @functools.cached_property
    def config_error(self) -> ConfigError | None:
        """Why config.pbtxt cannot be parsed; None if it can, or does not exist."""
        try:
            parse_once(self.text or "", str(self.folder / CONFIG_NAME))
        except ConfigError as exc:
            return exc
        return self.unreadable

    @property
    def config(self) -> ModelConfig | None:
        """The parsed config.pbtxt."""
        if self.text is None or self.config_error:
            return None
        return parse_once(self.text, str(self.folder / CONFIG_NAME))

    @functools.cached_property
    def served(self) -> tuple[int, ...]:
        """The versions that Triton should serve: those on disk that the version policy picks."""
        # Parsing is slow, and most configs set no policy.
        config = self.config if "version_policy" in (self.text or "") else None
        return policy_of(config).served(self.versions)

    def same_files(self, other: Mapping[str, str], version: int) -> bool:
        """Whether a version's files, and the shared ones, have the same fingerprints."""
        return all(self.files.get(key) == other.get(key) for key in (_SHARED, str(version)))


@dataclass(frozen=True)
class LoadRecord:
    """The state of one model right after a verified load."""

    files: Mapping[str, str]
    config: str | None
    """The text of config.pbtxt."""
    served_config: str
    """The served ModelConfig, as `pack_config` gives it."""
    newest: int
    """The newest time below the model in nanoseconds; Triton ignores older files."""


@dataclass(frozen=True)
class ServedFolder:
    """One models directory, and the load records of the server at one address."""

    models_dir: Path
    records_dir: Path
    log: Path
    """The log of an embedded Triton of this models directory; another Triton's log is out of reach."""
    callers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By model, the models that call it, as models.toml declares with `depends_on`."""

    @classmethod
    def of(cls, models_dir: Path, url: str, *, callers: Mapping[str, tuple[str, ...]] | None = None) -> ServedFolder:
        """For `X/triton`, find the records and the log in `X/.server`."""
        server_dir = models_dir.with_name(".server")
        address = url.replace("localhost:", "127.0.0.1:")
        return cls(
            models_dir, server_dir / "loaded" / quote(address, safe=""), server_dir / "triton.log", callers or {}
        )

    def config_text(self, name: str) -> str | None:
        """Read config.pbtxt of a model; None if it does not exist or cannot be read."""
        return _read_config(self.models_dir / name / CONFIG_NAME)[0]

    def log_end(self) -> int:
        """Give the size of the log in bytes."""
        return self.log.stat().st_size if self.log.exists() else 0

    def logged_since(self, end: int) -> str:
        """Read the log from a position; empty without a log."""
        try:
            with self.log.open("rb") as log:
                log.seek(end)
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def read(self, name: str) -> ModelOnDisk | None:
        """Take a snapshot of a model; None if it is not in the models directory."""
        folder = self.models_dir / name
        if self._repository.home(name) != folder:
            return None
        text, error = _read_config(folder / CONFIG_NAME)
        return ModelOnDisk(name, folder, text, error, versions_in(folder), _fingerprints(folder))

    def record(self, name: str) -> LoadRecord | None:
        """Read the record of a model's last verified load; None without one."""
        try:
            return parse_record(LoadRecord, read_text(self._path(name), MAX_RECORD))
        except (UnreadableFileError, ValueError):
            return None

    def save(self, name: str, record: LoadRecord) -> None:
        """Save a record. An unwritable folder is no error: without a record, the next load touches the model."""
        with suppress(OSError):
            self.records_dir.mkdir(parents=True, exist_ok=True)
            write_json(self._path(name), asdict(record), sync=False)

    def discard(self, name: str) -> None:
        """Delete the record of a model that is no longer served, or whose load failed."""
        with suppress(OSError):
            self._path(name).unlink(missing_ok=True)

    def discard_before(self, started: float) -> None:
        """Delete the records from before a start of the server, in seconds since the epoch."""
        for path in self.records_dir.glob("*.json"):
            with suppress(OSError):
                if path.stat().st_mtime < started:
                    path.unlink()

    @functools.cached_property
    def _repository(self) -> Repository:
        return Repository(self.models_dir)

    def _path(self, name: str) -> Path:
        return self.records_dir / f"{quote(name, safe='')}.json"


def pack_config(served: ModelConfig) -> str:
    """Encode a ModelConfig as a text that is equal for equal configs."""
    return base64.b64encode(served.SerializeToString(deterministic=True)).decode()


def unpack_config(served: str) -> ModelConfig:
    """Decode a ModelConfig that `pack_config` encoded; an empty one for a damaged text."""
    from google.protobuf.message import DecodeError

    config: ModelConfig = message_class()()
    with suppress(ValueError, DecodeError):
        config.ParseFromString(base64.b64decode(served))
    return config


@functools.lru_cache(maxsize=1024)
def parse_once(text: str, where: str) -> ModelConfig:
    """Parse a config once, since the parser is slow; the result must not be changed."""
    return parse_config(text, where=where)


def policy_of(config: ModelConfig | None) -> VersionPolicy:
    """Read the version policy; Triton's default is the newest version."""
    return (VersionPolicy.of(config) if config is not None else None) or VersionPolicy("latest")


def _read_config(path: Path) -> tuple[str | None, ConfigError | None]:
    try:
        return read_config_if_present(path), None
    except ConfigError as exc:
        return None, exc


def _fingerprints(folder: Path) -> dict[str, str]:
    """Fingerprint names, sizes, times and inodes; hashing gigabytes each time would take too long."""
    lines: dict[str, list[str]] = {_SHARED: []}
    for path, stat in walk_model(folder):
        part, _, rest = path.partition("/")
        if S_ISDIR(stat.st_mode) or path == CONFIG_NAME or "/__pycache__/" in f"/{rest}/":
            continue
        key = part if rest and part.isdecimal() else _SHARED
        lines.setdefault(key, []).append(f"{part}/{rest} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}")
    return {key: hashlib.sha256("\n".join(sorted(lines[key])).encode()).hexdigest()[:16] for key in lines}


def walk_model(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """List everything below a folder through links, as Triton does, by paths relative to it.

    A file that vanishes is left out. Strings, not paths: thousands of models are read at a time.
    """
    top = str(folder)
    for parent, directories, files in os.walk(top, followlinks=True):
        for name in [*directories, *files]:
            path = f"{parent}/{name}"
            try:
                yield path[len(top) + 1 :], os.stat(path)  # noqa: PTH116
            except OSError:
                continue
