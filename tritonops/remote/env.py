"""The env file of a host: secrets and settings of one machine. Its values are never shown."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

from tritonops import dotenv
from tritonops.errors import CommandError, EnvFileError, InputError, TritonOpsError
from tritonops.remote.client.host_state import decode_env, parse_env
from tritonops.remote.layout.env_rules import refuse_names_of_releases
from tritonops.remote.layout.scripts import script
from tritonops.remote.ssh.host import Host
from tritonops.settings import check_variables

_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")

_CHANGED = 45


def parse_values(data: bytes, *, where: str) -> dict[str, str]:
    """Read KEY=VALUE lines as Compose does; an empty value removes the key.

    Raises InputError with the line and the key, without the value of a secret.
    """
    found = dotenv.parse(data, lambda _: None, where=where, inherit=False)
    for name, (value, line, unset) in found.items():
        if not _NAME.fullmatch(name):
            raise InputError(f"{where}:{line}: expected a key in capitals", hint="TRITON_TOKEN=…")
        if unset:
            hint = "Write a literal dollar as $$, or in single quotes."
            raise EnvFileError(f"{where}:{line}: {name}: not set: {', '.join(unset)}", hint=hint)
        try:
            dotenv.format_line(name, value)
        except ValueError as exc:
            raise InputError(f"{where}:{line}: {name}: {exc}", hint="Choose another value.") from exc
    if not found:
        raise InputError("no values were given", hint="Write KEY=VALUE lines to stdin, or name a file: --from FILE")
    refuse_names_of_releases(found, where=where)
    check_variables(found, where=where)
    return {name: variable.value for name, variable in found.items()}


def set_values(host: Host, values: Mapping[str, str]) -> None:
    """Set values in the host's env file, each in the place of its key; they travel on stdin only.

    Raises EnvFileError where the file cannot be read, and TritonOpsError where another command changed it.
    """
    before = _read(host)
    after = dotenv.set_values(before, values, where=f"{host.name}: env")
    parse_env(after, host.name)  # a remaining line may refer to a removed key
    content, digest = base64.b64encode(after).decode(), hashlib.sha256(before).hexdigest()
    program = script("read_env", "replace_env", root=host.folder, content=content, before=digest, changed=_CHANGED)
    output = host.run(program, check=False)
    if output.code == _CHANGED or (not output.code and decode_env(output.stdout, host.name) != after):
        raise TritonOpsError(f"{host.name}: another command changed the env file meanwhile", hint="Try again.")
    if output.code:
        raise CommandError(host.name, output.code, output.stderr)


def names_set(host: Host) -> list[str]:
    """List the keys in the host's env file, without their values."""
    return list(parse_env(_read(host), host.name))


def _read(host: Host) -> bytes:
    return decode_env(host.run(script("read_env", "show_env", root=host.folder)).stdout, host.name)
