"""The variables that count, each with its origin: those of the environment and of the env files that Compose reads.

The environment wins. Then comes the `.env` of the application in whose folder `inv` was called, where Compose would
read it there, and then the project's own. COMPOSE_ENV_FILES names others in their place; COMPOSE_DISABLE_ENV_FILE
turns both off. On a host TRITONOPS_SECRETS names the file that secrets come from, whatever release reads them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tritonops.display_text import clip
from tritonops.errors import SettingsError

if TYPE_CHECKING:
    from tritonops.dotenv import Variable

DISABLE_ENV_FILE = "COMPOSE_DISABLE_ENV_FILE"
KNOWN = (
    *("MODELS_TOML", "TRITON_MODELS_DIR", "TRITON_CONFIG_DIR", "TRITON_STORE_DIR", "TRITON_URL", "TRITON_TOKEN"),
    *("TRITON_IMAGE", "TRITON_RUNTIME", "TRITON_EXPOSE_HTTP", "TRITON_EXPOSE_GRPC", "TRITON_EXPOSE_METRICS"),
    *("TRITON_BIND", "TRITON_USER", "TRITON_GPU", "TRITON_MEMORY", "TRITON_SHM_SIZE", "RESTART_POLICY"),
    *("TRITON_REMOTE_DIR", "TRITON_SSH_CONFIG", "TRITON_STALL_SECONDS", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"),
    *("HF_HUB_DISABLE_IMPLICIT_TOKEN", "TRANSFORMERS_OFFLINE"),
    *("COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES"),
    DISABLE_ENV_FILE,
)
"""What tritonops, its Compose files and Compose itself read."""
_OTHERS = (
    *("HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH", "HF_XET_CACHE", "HF_ASSETS_CACHE"),
    *("HF_DATASETS_CACHE", "HF_DATASETS_OFFLINE", "HF_HUB_VERBOSITY"),
    *("COMPOSE_ANSI", "COMPOSE_PROGRESS", "COMPOSE_PARALLEL_LIMIT", "COMPOSE_REMOVE_ORPHANS", "COMPOSE_STATUS_STDOUT"),
    *("COMPOSE_IGNORE_ORPHANS", "COMPOSE_CONVERT_WINDOWS_PATHS", "COMPOSE_HTTP_TIMEOUT", "COMPOSE_EXPERIMENTAL"),
)
"""Names of others, which are near to ours and are meant."""
_COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_SECRETS = re.compile(r"(TRITON_TOKEN|HF_TOKEN)(?!\w)")
_FOR_SERVICE = re.compile(r"TRITON_|RESTART_POLICY(?!\w)")
_FOR_APPLICATION = re.compile(r"TRITON_|COMPOSE_|RESTART_POLICY(?!\w)")
_MOST_COMPARED = 200
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


class Given(NamedTuple):
    """A value that somebody set, and where: on a line of a file, or in the environment."""

    value: str
    base: Path
    """The folder that a relative path starts at."""
    file: Path | None = None
    line: int = 0
    unset: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """Where it was set, in words."""
        return f"{self.file}:{self.line}" if self.file else "the environment"


class Environment:
    """All variables that count, by name. Raises SettingsError for an env file that cannot be read."""

    def __init__(self, project: Path, environ: Mapping[str, str], cwd: Path, *, env_file: bool = True) -> None:
        self._project, self._environ, self._cwd = project, environ, cwd
        self._given: dict[str, Given] = {}
        if secrets := environ.get("TRITONOPS_SECRETS"):
            self._read(Path(secrets), only=_SECRETS)
        if names := environ.get("COMPOSE_ENV_FILES"):
            self._read_named([cwd / name for name in names.split(",")])
        elif not self._is_disabled():
            self._read_application()
            if env_file:
                self._read(project / ".env")

    def get(self, name: str) -> Given | None:
        """Find a variable. An empty one counts as unset, but hides what a file further down says, as in Compose."""
        given = Given(self._environ[name], self._cwd) if name in self._environ else self._given.get(name)
        return given if given and given.value else None

    @property
    def process(self) -> Mapping[str, str]:
        """The variables of the process alone, for what reads no `.env`: proxies, certificate authorities."""
        return self._environ

    def exported(self, name: str) -> str | None:
        """Find a variable of the process alone: one of other programs, which read no `.env`."""
        return self._environ.get(name) or None

    @property
    def compose_folder(self) -> Path | None:
        """The folder that the set COMPOSE_FILE counts in: the caller's, or the project where its own .env says so."""
        given = self.get("COMPOSE_FILE")
        if given is None:
            return None
        return self._project if given.file == self._project / ".env" else self._cwd

    @property
    def compose_project_folder(self) -> Path | None:
        """Compose's project directory where COMPOSE_FILE is set: the folder of its first file."""
        files = self.compose_files
        return files[0].parent if files else None

    @property
    def compose_files(self) -> list[Path]:
        """The files of COMPOSE_FILE; none where it is not set."""
        folder, files = self.compose_folder, self.get("COMPOSE_FILE")
        if folder is None or files is None:
            return []
        names = files.value.split(self._lookup("COMPOSE_PATH_SEPARATOR") or os.pathsep)
        return [Path(os.path.abspath(folder / name)) for name in names]

    def for_compose(self) -> dict[str, str]:
        """Give what Compose has to be told so that, in whatever folder it starts, it finds the same values.

        What belongs to Compose itself stays in its env files: Compose reads those of its folder.
        """
        given = {name: given.value for name, given in self._given.items() if _FOR_SERVICE.match(name)}
        environ = {name: value for name, value in self._environ.items() if _FOR_APPLICATION.match(name)}
        if names := environ.get("COMPOSE_ENV_FILES"):
            environ["COMPOSE_ENV_FILES"] = ",".join(str(self._cwd / name) for name in names.split(","))
        return given | environ

    @property
    def warnings(self) -> Iterator[str]:
        """What the env files say and hardly mean."""
        strange = [(name, given) for name, given in self._given.items() if name not in KNOWN and name not in _OTHERS]
        if strange:
            from difflib import get_close_matches
        for name, given in strange[:_MOST_COMPARED]:
            if near := get_close_matches(name.upper(), KNOWN, 1, 0.86):
                yield f"{given.origin}: {name} is not a setting; did you mean {near[0]}?"
        for name, given in self._given.items():
            if name in KNOWN and given.unset and name not in self._environ:
                unset = ", ".join(given.unset)
                yield f"{given.origin}: {name}: not set, so empty: {unset}. A literal dollar is $$."

    def _is_disabled(self) -> bool:
        value = self._environ.get(DISABLE_ENV_FILE, "false")
        if value not in _BOOLEANS:
            raise SettingsError(
                f"{DISABLE_ENV_FILE}={clip(value, 80)!r} in the environment: expected true or false, as for Compose"
            )
        return _BOOLEANS[value]

    def _read_application(self) -> None:
        """Read the `.env` files that Compose reads when it starts in the caller's folder.

        Those are the one in the folder of the Compose file, and where it names another file, the one in that folder.
        """
        folder = self._folder_of_compose_file() or self._folder_with_compose_file()
        self._read(folder / ".env", only=_FOR_APPLICATION)
        if other := self._folder_of_compose_file():
            # Compose starts relative paths at the folder of the first file.
            self._given = {name: given._replace(base=other) for name, given in self._given.items()}
            self._read(other / ".env", only=_FOR_APPLICATION)

    def _folder_of_compose_file(self) -> Path | None:
        """Find the folder of the first file in COMPOSE_FILE, which is Compose's project directory."""
        if not (files := self._lookup("COMPOSE_FILE")):
            return None
        first = files.split(self._lookup("COMPOSE_PATH_SEPARATOR") or os.pathsep)[0]
        return Path(os.path.abspath(self._cwd / first)).parent

    def _folder_with_compose_file(self) -> Path:
        """Find the folder of the Compose file that Compose takes without a COMPOSE_FILE."""
        folders = (self._cwd, *self._cwd.parents)
        return next(
            (folder for folder in folders if any((folder / name).exists() for name in _COMPOSE_FILES)), self._cwd
        )

    def _read(self, path: Path, *, only: re.Pattern[str] | None = None) -> None:
        """Add a default env file, below those before it: these count in its values too.

        With `only` just these names count: no folder that one happens to be in chooses where the Hub's token goes.
        """
        if path.is_dir() or not path.exists() or (only and path.parent == self._project):
            return
        from tritonops.dotenv import parse, read_bytes

        data = read_bytes(path)
        if only is None or only.search(data.decode(errors="replace")):
            self.add(path, parse(data, self._lookup, where=str(path)), base=path.parent, only=only)

    def _read_named(self, paths: Sequence[Path]) -> None:
        """Read the files of COMPOSE_ENV_FILES: a later one wins, and may name variables of an earlier one."""
        from tritonops.dotenv import parse, read_bytes

        for path in paths:
            found = parse(read_bytes(path), self._lookup, where=str(path))
            self._given = {name: given for name, given in self._given.items() if name not in found}
            self.add(path, found, base=self._project)

    def add(
        self, path: Path, found: Mapping[str, Variable], *, base: Path, only: re.Pattern[str] | None = None
    ) -> None:
        """Add the variables of one more file, below those before it."""
        for name, (value, line, unset) in found.items():
            if name not in self._given and (only is None or only.match(name)):
                self._given[name] = Given(value, base, path, line, unset)

    def _lookup(self, name: str) -> str | None:
        if name in self._environ:
            return self._environ[name]
        return self._given[name].value if name in self._given else None
