"""The env file of a host: what is secret or belongs to one machine. It is written, and never shown."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

from tritonops.errors import InputError
from tritonops.remote.host import Host
from tritonops.remote.survey import with_root

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
{{ grep -vE '^({names})=' env || true; }} >env.new
cat >>env.new <<'values'
{lines}values
mv env.new env
"""

_NAMES = 'cd -- "$HOME"; cd -- "$root" 2>/dev/null || exit 0; sed -n "s/^\\([A-Za-z_][A-Za-z0-9_]*\\)=.*/\\1/p" env'


def parse_values(text: str) -> dict[str, str]:
    """Read KEY=VALUE lines as .env has them; an empty value takes the key out. Raises InputError without the value."""
    from dotenv import dotenv_values

    values: dict[str, str] = {}
    for name, value in dotenv_values(stream=io.StringIO(text), interpolate=False).items():
        if not _NAME.fullmatch(name) or value is None:
            raise InputError("a line is not KEY=VALUE with a key in capitals", hint="TRITON_TOKEN=…")
        if "\n" in value or "'" in value:
            raise InputError(f"{name}: a value must be one line without single quotes")
        values[name] = value
    if not values:
        raise InputError("no values were given", hint="Write KEY=VALUE lines to stdin, or name a file: --from FILE")
    return values


def set_values(host: Host, directory: str, values: Mapping[str, str]) -> None:
    """Put values into the host's env file, in place of those of the same names; they travel on stdin only."""
    lines = "".join(f"{name}='{value}'\n" for name, value in values.items() if value)
    host.run(with_root(directory, _SET.format(names="|".join(values), lines=lines)))


def names_set(host: Host, directory: str) -> list[str]:
    """List the names in the host's env file, not their values."""
    return host.run(with_root(directory, _NAMES), check=False).stdout.split()
