"""The env file of a host: what is secret or belongs to one machine. It is written, and never shown."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

from tritonops import dotenv
from tritonops.errors import CommandError, EnvFileError, InputError, TritonOpsError
from tritonops.remote.client.host_state import READ_ENV, decode_env, parse_env, with_root
from tritonops.remote.ssh.host import Host
from tritonops.settings import check_variables

_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")

_READ = f'cd -- "$HOME"; cd -- "$root" 2>/dev/null || exit 0; {READ_ENV}'
# The file appears whole, by one rename. The content that it replaces is compared once more just before.
_REPLACE = """
set -eu
umask 077
cd -- "$HOME"
mkdir -p -- "$root"
cd -- "$root"
base64 -d >env.new.$$ <<'content'
{content}
content
if [ "$(cat env 2>/dev/null | sha256sum | cut -d' ' -f1)" != {before} ]; then rm env.new.$$; exit {changed}; fi
mv env.new.$$ env
{read}
"""
_CHANGED = 45


def parse_values(data: bytes, *, where: str) -> dict[str, str]:
    """Read KEY=VALUE lines as Compose reads them; an empty value takes the key out.

    Raises InputError with the line and the key, without the value of a secret.
    """
    found = dotenv.parse(data, lambda _: None, where=where, inherit=False)
    for name, (value, line, unset) in found.items():
        if not _NAME.fullmatch(name):
            raise InputError(f"{where}:{line}: expected a key in capitals", hint="TRITON_TOKEN=…")
        if unset:
            hint = "A literal dollar is $$, or stands in single quotes."
            raise EnvFileError(f"{where}:{line}: {name}: not set: {', '.join(unset)}", hint=hint)
        try:
            dotenv.format_line(name, value)
        except ValueError as exc:
            raise InputError(f"{where}:{line}: {name}: {exc}", hint="Choose a value without it.") from exc
    if not found:
        raise InputError("no values were given", hint="Write KEY=VALUE lines to stdin, or name a file: --from FILE")
    check_variables(found, where=where)
    return {name: variable.value for name, variable in found.items()}


def set_values(host: Host, directory: str, values: Mapping[str, str]) -> None:
    """Put values into the host's env file, in place of those of the same names; they travel on stdin only.

    Raises EnvFileError where the file there cannot be read, and TritonOpsError where another command changed it.
    """
    before = _read(host, directory)
    after = dotenv.set_values(before, values, where=f"{host.name}: env")
    parse_env(after, host.name)  # a line that stays may name a key that goes
    script = _REPLACE.format(
        content=base64.b64encode(after).decode(),
        before=hashlib.sha256(before).hexdigest(),
        changed=_CHANGED,
        read=READ_ENV,
    )
    output = host.run(with_root(directory, script), check=False)
    if output.code == _CHANGED or (not output.code and decode_env(output.stdout, host.name) != after):
        raise TritonOpsError(f"{host.name}: another command changed the env file meanwhile", hint="Try again.")
    if output.code:
        raise CommandError(host.name, output.code, output.stderr)


def names_set(host: Host, directory: str) -> list[str]:
    """List the names in the host's env file, not their values."""
    return list(parse_env(_read(host, directory), host.name))


def _read(host: Host, directory: str) -> bytes:
    return decode_env(host.run(with_root(directory, _READ)).stdout, host.name)
