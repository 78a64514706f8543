"""What is on a host right now, asked in one round trip."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tritonops.dotenv import Variable
from tritonops.dotenv import parse as parse_env_file
from tritonops.environment import KNOWN
from tritonops.errors import EnvFileError, InputError, TritonOpsError
from tritonops.models.catalog.rules import is_junk
from tritonops.remote.layout.definition import StartRecord
from tritonops.remote.layout.deploy_lock import LockOwner, parse_lock_owner
from tritonops.remote.layout.records import ActivationRecord, ReleaseRecord, SwitchRecord
from tritonops.remote.layout.shell_functions import BY_HAND, DIGESTS
from tritonops.remote.ssh.host import Host
from tritonops.settings import check_variables

# In base64, because any line of the file may belong to a value of several lines.
READ_ENV = "base64 <env 2>/dev/null | tr -d '\\n'"
_READ_SERVED_ENV = READ_ENV.replace("<env", '<"envs/$(basename -- "$(readlink current)")"')

# Each line is a key, a tab and a value. Only what a deploy with nothing to do needs; `preflight` asks the rest.
_SURVEY = r"""
say() { printf '%s\t%s\n' "$1" "$2"; }
cd -- "$HOME"
say home "$PWD"
cd -- "$root" 2>/dev/null || exit 0
say root "$PWD"
say current "$(readlink current)"
say record "$(cat current/release.json 2>/dev/null)"
say activation "$(cat current/outcome.json 2>/dev/null)"
say interrupted "$(cat shared/switching.json 2>/dev/null)"
say owner "$(cat lock 2>/dev/null)"
pid=$(sed -n 's/.*"pid": \([0-9][0-9]*\).*/\1/p' lock 2>/dev/null)
if [ -n "$pid" ] && awk -v pid="$pid" -v inode=":$(stat -c %i lock)$" \
    '$2 == "FLOCK" && $5 == pid && $6 ~ inode { found = 1 } END { exit !found }' /proc/locks; then say locked yes; fi
say digests "$(digests | tr '\n' ' ')"
by_hand
say env "$(read_env)"
say served_env "$(read_served_env)"
say started "$(cat shared/runtime 2>/dev/null)"
say free "$(df -Pk . | awk 'NR == 2 { print $4 }')"
"""


@dataclass(frozen=True)
class HostState:
    """A host as it is: its release, who is at work, and where its Triton listens."""

    root: str
    """Absolute; TRITON_REMOTE_DIR starts at the home of whoever logs in."""
    current: str | None
    """The name of the release that serves; None before the first."""
    release: ReleaseRecord | None
    """What that release is; None before the first, and where its folder has gone."""
    activation: ActivationRecord | None
    interrupted: str | None
    """The release that a switch was going to when it was interrupted."""
    lock_owner: LockOwner | None
    by_hand: tuple[str, ...]
    """The models that Triton is shown and models.toml of the release does not have."""
    disk: str
    """What releases of earlier versions recorded of the disk."""
    seal: str
    env: str
    http_port: int
    grpc_port: int
    metrics_port: int
    image: str | None
    """TRITON_IMAGE of the host's env file, for the next release."""
    started: StartRecord | None
    """How the running Triton was started; None where nobody knows of one."""
    free: int
    """Bytes on the filesystem."""
    token: str | None = field(default=None, repr=False)
    env_values: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the host's env file says."""

    @property
    def is_untouched(self) -> bool:
        """Whether nobody changed what Triton is shown since the release that serves was activated."""
        if self.activation is None:
            return False
        return self.activation.seal == self.seal if self.activation.seal else self.activation.disk == self.disk


def inspect_host(host: Host, directory: str) -> HostState:
    """Ask a host what is on it. Raises HostUnreachableError, and TritonOpsError where the answer makes no sense."""
    shell = {"digests": DIGESTS, "by_hand": BY_HAND, "read_env": READ_ENV, "read_served_env": _READ_SERVED_ENV}
    functions = "".join(f"{name}() {{\n{body}\n}}\n" for name, body in shell.items())
    output = host.run(with_root(directory, f"{functions}{_SURVEY}"))
    try:
        return _state(host.name, directory, parse(output.stdout))
    except (ValueError, KeyError, IndexError) as exc:
        raise TritonOpsError(f"{host.name}: what lies in {directory} there cannot be read: {exc!r}") from exc


def with_root(directory: str, script: str) -> str:
    """Give a script the folder as `$root`; refuse a name that a shell would read otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9_./+@-]+", directory) or directory.startswith("-") or ".." in directory.split("/"):
        raise InputError(f"TRITON_REMOTE_DIR={directory!r}: want a path of letters, digits and _ . / + @ -")
    return f"root={directory}\n{script}"


def parse(text: str) -> dict[str, list[str]]:
    """Read lines of a key, a tab and a value; a key may come several times."""
    answers: dict[str, list[str]] = {}
    for key, _, value in (line.partition("\t") for line in text.splitlines()):
        answers.setdefault(key, []).append(value)
    return answers


def decode_env(encoded: str, host: str) -> bytes:
    """Give the bytes of which READ_ENV printed the base64. Raises TritonOpsError."""
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as exc:
        raise TritonOpsError(f"{host}: the env file there cannot be read: {exc}") from exc


def parse_env(data: bytes, host: str) -> dict[str, Variable]:
    """Read the env file of a host as Compose there does.

    Raises EnvFileError for what cannot be read, and for a setting whose value depends on the environment there.
    """
    where = f"{host}: env"
    found = parse_env_file(data, lambda _: None, where=where, inherit=False)
    for name, (_, line, unset) in found.items():
        if unset and name in KNOWN:
            hint = "A literal dollar is $$, or stands in single quotes."
            raise EnvFileError(f"{where}:{line}: {name}: not set in this file: {', '.join(unset)}", hint=hint)
    return found


def _state(host: str, directory: str, answers: Mapping[str, list[str]]) -> HostState:
    variables = parse_env(decode_env(_first(answers, "env"), host), host)
    settings = check_variables(variables, where=f"{host}: env")
    served, encoded = settings, _first(answers, "served_env")
    if encoded:
        copy = f"{host}: env of the release that serves"
        served = check_variables(parse_env(decode_env(encoded, host), host), where=copy)
    home = answers["home"][0]
    digests = answers.get("digests", [""])[0].split()
    return HostState(
        root=answers.get("root", [directory if directory.startswith("/") else f"{home}/{directory}"])[0],
        current=_first(answers, "current").rpartition("/")[2] or None,
        release=ReleaseRecord.parse(text) if (text := _first(answers, "record")) else None,
        activation=ActivationRecord.parse(text) if (text := _first(answers, "activation")) else None,
        interrupted=SwitchRecord.parse(text).to if (text := _first(answers, "interrupted")) else None,
        lock_owner=_lock_owner(answers),
        by_hand=tuple(sorted(name for name in answers.get("by_hand", []) if not is_junk(name))),
        disk=digests[0] if digests else "",
        env=digests[1] if digests else "",
        seal=digests[2] if digests else "",
        http_port=served.http_port,
        grpc_port=served.grpc_port,
        metrics_port=served.metrics_port,
        image=settings.triton_image,
        started=StartRecord.parse(text) if (text := _first(answers, "started")) else None,
        free=int(_first(answers, "free") or 0) * 1024,
        token=settings.triton_token,
        env_values={name: variable.value for name, variable in variables.items()},
    )


def _first(answers: Mapping[str, list[str]], key: str) -> str:
    return answers.get(key, [""])[0]


def _lock_owner(answers: Mapping[str, list[str]]) -> LockOwner | None:
    """A process that holds the lock, or a person; what a process left that is gone counts for nothing."""
    owner = parse_lock_owner(_first(answers, "owner"))
    return owner if "locked" in answers or (owner and owner.pid is None) else None
