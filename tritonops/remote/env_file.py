"""The env file of a host: what is secret or belongs to one machine. It is written, and never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tritonops.dotenv import format_line, parse
from tritonops.errors import EnvFileError, InputError
from tritonops.remote.host import Host
from tritonops.remote.survey import READ_ENV, parse_env, with_root

_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")

# The lock is not needed: the file appears whole, by one rename.
_SET = """
set -eu
umask 077
cd -- "$HOME"
mkdir -p -- "$root"
cd -- "$root"
touch env
chmod 600 env
{{ grep -vE '^[[:space:]]*(export[[:space:]]+)?({names})[[:space:]]*[=:]' env || true; }} >env.new
cat >>env.new <<'values'
{lines}values
mv env.new env
"""


def parse_values(data: bytes, *, where: str) -> dict[str, str]:
    """Read KEY=VALUE lines as Compose reads them; an empty value takes the key out.

    Raises InputError with the line and the key, without the value.
    """
    values: dict[str, str] = {}
    for name, (value, line, unset) in parse(data, lambda _: None, where=where, inherit=False).items():
        if not _NAME.fullmatch(name):
            raise InputError(f"{where}:{line}: expected a key in capitals", hint="TRITON_TOKEN=…")
        if unset:
            hint = "A literal dollar is $$, or stands in single quotes."
            raise EnvFileError(f"{where}:{line}: {name}: not set: {', '.join(unset)}", hint=hint)
        values[name] = value
    if not values:
        raise InputError("no values were given", hint="Write KEY=VALUE lines to stdin, or name a file: --from FILE")
    return values


def set_values(host: Host, directory: str, values: Mapping[str, str]) -> None:
    """Put values into the host's env file, in place of those of the same names; they travel on stdin only."""
    lines = "".join(f"{format_line(name, value)}\n" for name, value in values.items() if value)
    host.run(with_root(directory, _SET.format(names="|".join(values), lines=lines)))


def names_set(host: Host, directory: str) -> list[str]:
    """List the names in the host's env file, not their values."""
    script = f'cd -- "$HOME"; cd -- "$root" 2>/dev/null || exit 0; {READ_ENV}'
    return list(parse_env(host.run(with_root(directory, script), check=False).stdout, host.name))
