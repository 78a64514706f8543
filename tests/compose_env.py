"""The real Compose as the judge of env files: `docker compose config`, which needs no engine."""

from __future__ import annotations

import functools
import json
import os
import random
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from tritonops.dotenv import parse
from tritonops.errors import EnvFileError

_NAME = re.compile(r"[\w.\-\[\]]+")


@functools.cache
def missing() -> str | None:
    """Say what this machine lacks to ask Compose; None where it has it."""
    try:
        done = subprocess.run(["docker", "compose", "version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no docker command"
    return None if done.returncode == 0 else "docker has no Compose plugin"


def compose_environment(folder: Path, environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str] | None:
    """Ask for the variables that Compose has in a folder with a `.env`; None where it refuses the file."""
    service = {"image": "none", "environment": sorted(names)}
    (folder / "compose.yml").write_text(json.dumps({"services": {"s": service}}))
    done = subprocess.run(
        ["docker", "compose", "config", "--format", "json"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        return None
    found = json.loads(done.stdout)["services"]["s"].get("environment", {})
    return {name: value.replace("$$", "$") for name, value in found.items() if value is not None}


def our_environment(text: bytes, environ: Mapping[str, str]) -> dict[str, str] | None:
    """Read the same file, below the same environment."""
    try:
        found = parse(text, environ.get, where=".env")
    except EnvFileError:
        return None
    return {**{name: variable.value for name, variable in found.items()}, **environ}


def differences(text: bytes, environ: Mapping[str, str], folder: Path) -> str | None:
    """Compare Compose with us on one file; None where both read the same, or both refuse."""
    ours = our_environment(text, environ)
    names = {*_NAME.findall(text.decode(errors="replace")), *(ours or environ)} - {""}
    (folder / ".env").write_bytes(text)
    theirs = compose_environment(folder, environ, names)
    return None if ours == theirs else f"{text!r}\n  ours:    {ours}\n  Compose: {theirs}"


_KEYS = (
    "A",
    "B",
    "C",
    "TRITON_X",
    "é",
    "a",
    "A.B",
    "C-D",
    "1A",
    "A ",
    "export A",
    "export\tB",
    "export  C",
    " D",
    "A\t",
)
_ENDS = ("=", "=", "=", "= ", ":", ": ", " = ", "=\t")
_LINES = ("# c\n", "\n", "  \n", "#\n", "A\n", "FROM_ENV\n", "UNSET\n", "export A\n")
_VALUES = (
    *("x", "y z", "$A", "${A}", "${B:-d}", "${C-d}", "${A:-${B:-z}}", "${A+y}", "${D:+y}", "$FROM_ENV", "${UNSET-n}"),
    *(
        "${UNSET:-${EMPTY:-m}}",
        "${A:?no}",
        "${UNSET?no}",
        "$$",
        "\\$",
        "$",
        "\\",
        "\\n",
        "\\\\",
        "\\0101",
        "\\0",
        "\\07",
    ),
    *(
        "\\012",
        "\\0777",
        "\\c",
        "\\a",
        "\\e",
        "\\x41",
        "#",
        " #",
        "'",
        '"',
        "\\'",
        '\\"',
        "é",
        "\u2003",
        "\xa0",
        "\x85",
    ),
    *("{x}", "}", "-", "/", "://", "=", ":", " ", "\t", "${A", "${}", "${1}", "$1", "${A:-}", "${A:-$$}", "${A:-'}"),
    *('${A:-"}', "~", "\r", "@", "\x1c", "\u3000", "0", "12", "[x]", "${A:-{}", "\v"),
)


def random_file(chance: random.Random) -> bytes:
    """Write some lines that are mostly right, and full of what is read in special ways."""
    text = chance.choice(["", "", "", "\ufeff"])
    for _ in range(chance.randint(1, 5)):
        if chance.random() < 0.1:
            text += chance.choice(_LINES)
        else:
            line_end = chance.choice(["\n", "\n", "\n", "\r\n"])
            text += chance.choice(_KEYS) + chance.choice(_ENDS) + _random_value(chance) + line_end
    return (text.rstrip() if chance.random() < 0.2 else text).encode()


def _random_value(chance: random.Random) -> str:
    value = "".join(chance.choice(_VALUES) for _ in range(chance.choice([0, 1, 1, 2, 2, 3, 4])))
    quote = chance.choice(["", "", "'", '"', '"'])
    if quote and chance.random() < 0.8:
        value = value.replace(f"\\{quote}", "\0").replace(quote, "").replace("\0", f"\\{quote}")
    if quote and chance.random() < 0.15:
        value += f"\n{chance.choice(_VALUES)}"
    return f"{quote}{value}{quote}{chance.choice(['', '', '', ' # c', ' ', '#c']) if quote else ''}"
