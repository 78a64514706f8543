"""The state of a host, read in one round trip."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tritonops.dotenv import Variable
from tritonops.dotenv import parse as parse_env_file
from tritonops.environment import KNOWN
from tritonops.errors import CommandError, EnvFileError, TritonOpsError
from tritonops.models.catalog.valid_values import is_junk
from tritonops.remote.layout.deploy_lock import LockOwner, parse_lock_owner
from tritonops.remote.layout.env_rules import refuse_names_of_releases
from tritonops.remote.layout.records import ActivationRecord, ReleaseRecord, StartRecord, SwitchRecord
from tritonops.remote.layout.scripts import script
from tritonops.remote.ssh.host import Host
from tritonops.settings import check_variables

_CTIME = re.compile(rb"(?<=[0-9]) [0-9.]+$")
"""The last field of a line about a file, before which there are only numbers; a name may have an end of line."""


_OF_TRITON = ("shared/triton", "shared/triton-disabled")
_LOG = "shared/.server/triton.log"
_NO_FILES = "no files"
"""In place of a digest; no record has it."""


@dataclass(frozen=True)
class HostState:
    """The release, the lock owner, the ports and the settings of a host."""

    root: str
    """TRITON_REMOTE_DIR, absolute."""
    current: str | None
    """The id of the current release; None before the first."""
    release: ReleaseRecord | None
    """Its record; None before the first, and where its folder is missing."""
    activation: ActivationRecord | None
    interrupted: str | None
    """The target of a switch that was interrupted."""
    lock_owner: LockOwner | None
    by_hand: tuple[str, ...]
    """The models in Triton's repository that are not in models.toml of the release."""
    disabled: tuple[str, ...]
    """Models of the release that somebody disabled on the host."""
    disk: str
    """The digest of the disk in records of earlier versions."""
    seal: str
    env: str
    http_port: int
    grpc_port: int
    metrics_port: int
    image: str | None
    """TRITON_IMAGE of the host's env file: that of the next release."""
    started: StartRecord | None
    """How the running Triton was started; None without a record."""
    free: int
    """Free bytes on the filesystem; 0 where they were not measured."""
    log_end: str = ""
    """Where the log of the embedded server ends; empty without one."""
    is_log_lost: bool = False
    """Whether that log was removed or replaced while the server writes on into it."""
    token: str | None = field(default=None, repr=False)
    env_values: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The host's env file."""

    @property
    def is_unchanged(self) -> bool:
        """Whether Triton's repository is unchanged since the activation of the current release."""
        if self.activation is None:
            return False
        return self.activation.seal == self.seal if self.activation.seal else self.activation.disk == self.disk


def inspect_host(host: Host, *, measure_free: bool = False) -> HostState:
    """Read the state of a host. Raises HostUnreachableError, and TritonOpsError where it makes no sense."""
    names = ("answer", "read_env", "free_space", "lost_log", "inspect_host")
    program = script(*names, root=host.folder, measure_free=measure_free)
    output = host.run(program, check=False, errors="surrogateescape")
    if output.code:  # not with its stdout, which may have the env file
        raise CommandError(host.name, output.code, output.stderr)
    try:
        return _host_state(host, parse_inspection(output.stdout))
    except (ValueError, KeyError, IndexError) as exc:
        raise TritonOpsError(f"{host.name}: the records in {host.folder} there cannot be read: {exc!r}") from exc


def loads_since_activation(host: Host, state: HostState) -> tuple[str, ...]:
    """Name the release's own models that were loaded since its activation, by whomever, from whatever."""
    activation = state.activation
    if state.release is None or activation is None or not activation.loaded_at:
        return ()
    runtime = state.release.runtime
    if runtime == "embedded" and state.log_end == activation.log_end:
        return ()
    words = {"root": state.root, "runtime": runtime, "end": activation.log_end, "at": activation.loaded_at}
    program = script("loads_since", "server_process", "list_loads", **words, server=activation.server)
    found = host.run(program).stdout.splitlines()
    return tuple(name for name in found if name in activation.loads)


@dataclass(frozen=True)
class Inspection:
    """The output of inspect_host.sh. In the records, bytes that are not UTF-8 are surrogates."""

    answers: Mapping[str, list[str]]
    files: tuple[str, ...]
    """A record of each file: its place, a tab, its path, inode, size, mtime and ctime."""
    activation: str
    env: bytes

    def records(self, *places: str) -> list[str]:
        """List the records of the files in these places, without the place."""
        rows = (record.partition("\t") for record in self.files)
        return [rest for place, _, rest in rows if place in places]


def parse_inspection(text: str) -> Inspection:
    """Divide the output of inspect_host.sh. Raises ValueError where a part of it is missing."""
    front, _, contents = text.partition("\0\0")
    first, *files = front.split("\0")
    activation, separator, env = contents.partition("\0env:\n")
    answers = parse_answers(_replaced(first))
    if "root" in answers and not separator:
        raise ValueError("the answer is not complete")
    return Inspection(answers, tuple(files), _replaced(activation).strip(), _bytes(env))


def parse_answers(text: str) -> dict[str, list[str]]:
    """Read lines of a key, a tab and a value; a key may come several times."""
    answers: dict[str, list[str]] = {}
    for key, _, value in (line.partition("\t") for line in text.split("\n") if line):
        answers.setdefault(key, []).append(value)
    return answers


def decode_env(encoded: str, host: str) -> bytes:
    """Decode the output of read_env.sh. Raises TritonOpsError."""
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as exc:
        raise TritonOpsError(f"{host}: the env file there cannot be read: {exc}") from exc


def parse_env(data: bytes, host: str) -> dict[str, Variable]:
    """Read the env file of a host as Compose does.

    Raises EnvFileError for an invalid line, and for a setting whose value depends on the environment there.
    """
    where = f"{host}: env"
    found = parse_env_file(data, lambda _: None, where=where, inherit=False)
    for name, (_, line, unset) in found.items():
        if unset and name in KNOWN:
            hint = "Write a literal dollar as $$, or in single quotes."
            raise EnvFileError(f"{where}:{line}: {name}: not set in this file: {', '.join(unset)}", hint=hint)
    return found


def _host_state(host: Host, found: Inspection) -> HostState:
    where, answers = f"{host.name}: env", found.answers
    variables = parse_env(found.env, host.name)
    refuse_names_of_releases(variables, where=where)
    settings = check_variables(variables, where=where)
    current = settings
    if lines := answers.get("served_env"):
        copy = parse_env("".join(f"{line}\n" for line in lines).encode(), host.name)
        current = check_variables(copy, where=f"{where} of the current release")
    disk, env, seal = digests(found)
    return HostState(
        root=answers.get("root", [_absolute(host.folder, answers["home"][0])])[0],
        current=_first(answers, "current").rpartition("/")[2] or None,
        release=ReleaseRecord.parse(text) if (text := _first(answers, "release")) else None,
        activation=parse_activation(found.activation),
        interrupted=SwitchRecord.parse(text).to if (text := _first(answers, "interrupted")) else None,
        lock_owner=_lock_owner(answers),
        by_hand=tuple(sorted(name for name in _unlisted(answers) if not is_junk(name))),
        disabled=tuple(sorted({*answers.get("listed", [])} - {*answers.get("model", [])})),
        disk=disk,
        env=env,
        seal=seal,
        http_port=current.http_port,
        grpc_port=current.grpc_port,
        metrics_port=current.metrics_port,
        image=settings.triton_image,
        started=StartRecord.parse(text) if (text := _first(answers, "started")) else None,
        free=int(_first(answers, "free") or 0) * 1024,
        log_end=_log_end(found),
        is_log_lost="log_lost" in answers,
        token=settings.triton_token,
        env_values={name: variable.value for name, variable in variables.items()},
    )


def digests(found: Inspection) -> tuple[str, str, str]:
    """Give the digest of the disk in records of earlier versions, that of the env file, and the seal.

    As digests.sh does on the host, which spares each of many hosts its processes. Models without any file are equal to
    no record: somebody deleted them all, or `find` is not that of GNU and lists none.
    """
    records = found.records(*_OF_TRITON)
    if not records and {*found.answers.get("listed", [])} & {*found.answers.get("model", [])}:
        return _NO_FILES, _digest(found.env), _NO_FILES
    lines = _bytes("\n".join(records)).split(b"\n") if records else []
    if "is_listed" in found.answers:
        listed = {name.encode() for name in found.answers.get("listed", [])}
        lines = [line for line in lines if line.partition(b"/")[0] in listed]
    disk = [_CTIME.sub(b"", line) for line in lines]
    sealed = [line for line in lines if b"/__pycache__/" not in line]
    return _digest_lines(disk), _digest(found.env), _digest_lines(sealed)


def _log_end(found: Inspection) -> str:
    """Write it as loads_since.sh does."""
    for record in found.records(_LOG):
        _, inode, size, *_ = record.split(" ")
        return f"{inode}:{size}"
    return ""


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _replaced(text: str) -> str:
    return text if text.isascii() else _bytes(text).decode(errors="replace")


def _digest_lines(lines: list[bytes]) -> str:
    return _digest(b"".join(line + b"\n" for line in sorted(lines)))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _unlisted(answers: Mapping[str, list[str]]) -> set[str]:
    """Name the models in service that the release does not list; none where it has no list."""
    return {*answers.get("model", [])} - {*answers.get("listed", [])} if "is_listed" in answers else set()


def parse_activation(text: str) -> ActivationRecord | None:
    """Read outcome.json; None where there is none, or a damaged one: what it recorded is unknown then."""
    try:
        return ActivationRecord.parse(text) if text else None
    except ValueError:
        return None


def _absolute(folder: str, home: str) -> str:
    return folder if folder.startswith("/") else f"{home}/{folder}"


def _first(answers: Mapping[str, list[str]], key: str) -> str:
    return answers.get(key, [""])[0]


def _lock_owner(answers: Mapping[str, list[str]]) -> LockOwner | None:
    """Give the running process or the person that locked the host; a process that has died does not count."""
    owner = parse_lock_owner(_first(answers, "owner"))
    return owner if "locked" in answers or (owner and owner.pid is None) else None
