"""What the environment and .env say, checked once and handed out as one typed object."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tritonops.display_text import clip
from tritonops.environment import DISABLE_ENV_FILE, Environment
from tritonops.errors import SettingsError
from tritonops.redaction import SERVER_URL

if TYPE_CHECKING:
    from tritonops.dotenv import Variable

_T = TypeVar("_T")

RUNTIMES = ("embedded", "compose")
DEFAULT_HF_ENDPOINT = "https://huggingface.co"
DEFAULT_STALL_SECONDS = 30.0


@dataclass(frozen=True)
class Settings:
    """Every setting, with `.env.example`'s defaults filled in; paths are absolute."""

    project: Path
    models_toml: Path
    models_dir: Path
    config_dir: Path
    store_dir: Path
    triton_url: str
    runtime: str | None
    """What serves here, of RUNTIMES; None where nobody chose."""
    bind: str
    http_port: int
    grpc_port: int
    metrics_port: int
    hf_endpoint: str = field(repr=False)
    remote_dir: str
    environment: Environment = field(repr=False, compare=False)
    """Where each was set, and the other variables."""
    triton_image: str | None = None
    restart_policy: str | None = None
    compose_file: str | None = None
    ssh_config: Path | None = None
    triton_token: str | None = field(default=None, repr=False)
    hf_token: str | None = field(default=None, repr=False)
    hf_implicit_token: bool = True
    """Whether HF_TOKEN, or the token of `hf auth login`, is sent to the Hub."""
    hf_offline: bool = False
    """Whether no request may be sent."""
    stall_seconds: float = DEFAULT_STALL_SECONDS
    """A connection slower than 1 kB/s for so long is replaced."""

    @property
    def lock_path(self) -> Path:
        """The pins of models.toml: its sibling with the suffix `.lock`."""
        return self.models_toml.with_suffix(".lock")

    @property
    def hf_token_path(self) -> Path:
        """Where `hf auth login` stores its token, by huggingface_hub's own variables.

        Raises SettingsError for the home of a user who does not exist.
        """
        from tritonops.files import expand_home

        for name, rest in (("HF_TOKEN_PATH", ""), ("HF_HOME", "token"), ("XDG_CACHE_HOME", "huggingface/token")):
            if folder := self.environment.exported(name):
                try:
                    return Path(os.path.expandvars(expand_home(folder)), rest)
                except ValueError as exc:
                    raise SettingsError(f"{name}={folder!r} in the environment: {exc}") from exc
        return Path(os.path.expanduser("~/.cache/huggingface/token"))  # noqa: PTH111 (Path.expanduser needs a home)

    @property
    def server_dir(self) -> Path:
        """Pid file and log of the embedded server of this models directory."""
        return self.models_dir.with_name(".server")


def load_settings(
    project: Path,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    env_file: bool = True,
) -> Settings:
    """Read the environment and the env files below it; an empty value counts as unset.

    `env_file` says whether the project's own `.env` counts. Raises SettingsError, naming the variable and where it was
    set.
    """
    environ = os.environ if environ is None else environ
    return _checked(project, Environment(project, environ, cwd or Path.cwd(), env_file=env_file))


def check_variables(variables: Mapping[str, Variable], *, where: str) -> Settings:
    """Read the variables of one env file, wherever that lies, by the same rules. Raises SettingsError with its line."""
    nowhere = Path("/")
    environment = Environment(nowhere, {DISABLE_ENV_FILE: "true"}, nowhere)
    environment.add(Path(where), variables, base=nowhere)
    return _checked(nowhere, environment)


def _checked(project: Path, environment: Environment) -> Settings:
    reader = _Reader(environment)
    grpc_port = reader.port("TRITON_EXPOSE_GRPC", 8001)
    models_dir = reader.path("TRITON_MODELS_DIR", project / "triton")
    store_dir = reader.path("TRITON_STORE_DIR", models_dir.with_name(".store"))
    reader.refuse_store_among_models(store_dir, models_dir)
    ssh_config = reader.get("TRITON_SSH_CONFIG")
    return Settings(
        project=project,
        environment=environment,
        models_toml=reader.models_toml(project / "models.toml"),
        models_dir=models_dir,
        config_dir=reader.path("TRITON_CONFIG_DIR", project / "triton-config"),
        store_dir=store_dir,
        triton_url=reader.address("TRITON_URL", f"localhost:{grpc_port}"),
        runtime=reader.choice("TRITON_RUNTIME", RUNTIMES),
        bind=reader.ip_address("TRITON_BIND", "127.0.0.1"),
        http_port=reader.port("TRITON_EXPOSE_HTTP", 8000),
        grpc_port=grpc_port,
        metrics_port=reader.port("TRITON_EXPOSE_METRICS", 8002),
        hf_endpoint=reader.endpoint("HF_ENDPOINT", DEFAULT_HF_ENDPOINT),
        remote_dir=reader.get("TRITON_REMOTE_DIR") or "tritonops",
        triton_image=reader.get("TRITON_IMAGE"),
        restart_policy=reader.get("RESTART_POLICY"),
        compose_file=reader.get("COMPOSE_FILE"),
        ssh_config=reader.path("TRITON_SSH_CONFIG", project) if ssh_config else None,
        triton_token=reader.secret("TRITON_TOKEN"),
        hf_token=reader.secret("HF_TOKEN") or reader.secret("HUGGING_FACE_HUB_TOKEN"),
        hf_implicit_token=not reader.is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"),
        hf_offline=reader.is_true("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
        stall_seconds=reader.seconds("TRITON_STALL_SECONDS", DEFAULT_STALL_SECONDS),
    )


def parse_address(value: str) -> str:
    """Check a gRPC address of the form host:port (or [v6]:port) and return it; ValueError says what is wrong."""
    host, colon, port = value.rpartition(":")
    if "/" in value or "@" in value or not colon or not host:
        raise ValueError("expected host:port, without a scheme")
    _parse_port(port)
    return value


def _parse_ip_address(value: str) -> str:
    """Give an address as Compose wants it, IPv6 in brackets. A name Docker would take for every address there is."""
    from ipaddress import ip_address

    try:
        address = ip_address(value.strip("[]"))
    except ValueError:
        raise ValueError("expected an IP address, like 127.0.0.1") from None
    return f"[{address}]" if address.version == 6 else str(address)


def _parse_port(value: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", value) or not 0 < int(value) < 65536:
        raise ValueError("expected a port number from 1 to 65535")
    return int(value)


def _parse_seconds(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", value) or float(value) == 0:
        raise ValueError("expected a number of seconds, like 30")
    return float(value)


class _Reader:
    """One variable at a time, checked."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def get(self, name: str) -> str | None:
        given = self._environment.get(name)
        return given.value if given else None

    def path(self, name: str, default: Path) -> Path:
        """Resolve against the caller's folder, or against the project where an env file says it."""
        given = self._environment.get(name)
        if given is None:
            return default
        from tritonops.files import expand_home

        try:
            path = Path(os.path.abspath(given.base / expand_home(given.value)))
        except ValueError as exc:
            raise self._error(name, str(exc)) from exc
        if not path.name:
            raise self._error(name, "is the root of the filesystem")
        return path

    def models_toml(self, default: Path) -> Path:
        """Resolve MODELS_TOML, whose lock is in the same folder."""
        path = self.path("MODELS_TOML", default)
        if path.suffix == ".lock":
            raise self._error("MODELS_TOML", "expected another ending than .lock, which is that of its lock")
        return path

    def refuse_store_among_models(self, store_dir: Path, models_dir: Path) -> None:
        """Every folder in the models directory is a model to Triton: none of the store's may be there."""
        if self.get("TRITON_STORE_DIR") is None:
            return
        store = Path(os.path.realpath(store_dir))
        for folder in (models_dir, models_dir.with_name(f"{models_dir.name}-disabled")):
            if Path(os.path.realpath(folder)) in (store, *store.parents):
                raise self._error("TRITON_STORE_DIR", f"lies in {folder}, where every folder is a model")

    def port(self, name: str, default: int) -> int:
        return self._parsed(name, _parse_port) or default

    def address(self, name: str, default: str) -> str:
        return self._parsed(name, parse_address) or default

    def endpoint(self, name: str, default: str) -> str:
        """Read a URL that may contain a password, which no error shows."""
        value = self.get(name) or default
        match = SERVER_URL.fullmatch(value)
        if not match or match["scheme"].lower() not in ("http", "https"):
            raise SettingsError(f"{name} in {self._where(name)}: expected http(s)://host or http(s)://host/path")
        return value.rstrip("/")

    def ip_address(self, name: str, default: str) -> str:
        return self._parsed(name, _parse_ip_address) or default

    def choice(self, name: str, choices: tuple[str, ...]) -> str | None:
        value = self.get(name)
        if value not in (None, *choices):
            raise self._error(name, f"expected one of {', '.join(choices)}")
        return value

    def is_true(self, *names: str) -> bool:
        """Read a switch as huggingface_hub does: 1, ON, YES or TRUE turn it on. The first one set counts."""
        value = next((value for name in names if (value := self.get(name))), "")
        return value.lower() in ("1", "on", "yes", "true")

    def seconds(self, name: str, default: float) -> float:
        return self._parsed(name, _parse_seconds) or default

    def secret(self, name: str) -> str | None:
        """Refuse what no header can carry; the value is not shown. A Secret made from a file ends in a newline."""
        value = (self.get(name) or "").rstrip("\r\n") or None
        if value and not re.fullmatch(r"[!-~]+", value):
            raise SettingsError(
                f"{name} in {self._where(name)}: expected printable ASCII without spaces, as headers do"
            )
        return value

    def _parsed(self, name: str, parse: Callable[[str], _T]) -> _T | None:
        value = self.get(name)
        try:
            return None if value is None else parse(value)
        except ValueError as exc:
            raise self._error(name, str(exc)) from exc

    def _error(self, name: str, problem: str) -> SettingsError:
        _, at, host = (value := self.get(name) or "").rpartition("@")
        shown = f"***@{host}" if at else value
        return SettingsError(f"{name}={clip(repr(shown), 80)} in {self._where(name)}: {clip(problem, 200)}")

    def _where(self, name: str) -> str:
        given = self._environment.get(name)
        return given.origin if given else "the defaults"
