"""Make a release on a host: check the host, send the files, write what belongs to it."""

from __future__ import annotations

import json
import shlex
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tritonops.errors import DeployError
from tritonops.models.catalog import read_catalog_text
from tritonops.models.check.image import DEFAULT_IMAGE
from tritonops.remote.host import Host
from tritonops.remote.inventory import HostSettings
from tritonops.remote.layout import Facts
from tritonops.remote.preflight import Said, preflight, require_fit
from tritonops.remote.source import Source
from tritonops.remote.survey import State, parse

_BEGIN = """
set -eu
umask 022
mkdir -p -- "$root"
cd -- "$root"
mkdir -p releases shared/triton shared/triton-disabled shared/venvs shared/.store/incoming
[ -e env ] || (umask 077 && : >env)
chmod 600 env
mkdir "releases/$id.partial" "releases/$id.partial/project"
find releases -maxdepth 1 -name '*.partial' ! -name "$id.partial" -mmin +1440 -exec rm -rf {} +
"""

_INV = """#!/bin/sh
# Runs a task of this release with the settings of this host: ./inv triton.list
set -eu
umask 022
root={root}
export TRITON_MODELS_DIR="$root/shared/triton" TRITON_RUNTIME={runtime}
export TRITONOPS_REQUIREMENTS="${{TRITONOPS_REQUIREMENTS:-runtime}}"
export TRITONOPS_VENV="$root/shared/venvs/{venv}"
grep -qsE '^[[:space:]]*(export[[:space:]]+)?COMPOSE_PROJECT_NAME[[:space:]]*[=:]' "$root/env" ||
    export COMPOSE_PROJECT_NAME=tritonops
export PATH="$PATH:$HOME/.local/bin" # where uv's installer puts it; only a login shell looks there
exec "$root/releases/{id}/project/inv" "$@"
"""

_FINISH = """
set -eu
umask 022
cd -- "$root/releases/$id.partial"
ln -sf ../../../env project/.env
cat >release.json <<'release.json'
{facts}
release.json
cat >inv <<'inv'
{inv}inv
chmod +x inv
cd ..
mv -- "$id.partial" "$id"
ln -sfn current/inv ../inv
"""


def begin(host: Host, state: State, facts: Facts, here: HostSettings) -> None:
    """Make the folders of a release, once the host is seen to be fit for it. Raises DeployError."""
    variables = f"root={shlex.quote(state.root)} id={shlex.quote(facts.id)}\n"
    questions = preflight(here, venv=facts.venv, image=shlex.quote(state.image or DEFAULT_IMAGE))
    output = host.run(f"{variables}{_BEGIN}{questions}", check=False)
    if output.code:
        raise DeployError(f"cannot write to {state.root}: {output.stderr.strip()}")
    require_fit(host.name, Said(parse(output.stdout), here))


def upload(host: Host, source: Source, state: State, facts: Facts) -> None:
    """Send the tracked files; what the release that serves has already is linked there, not sent."""
    link = [f"--link-dest={state.root}/releases/{state.facts.id}/project"] if state.facts else []
    _sync(host, source, f"{state.root}/releases/{facts.id}.partial/project/", "--times", *link)


def changed_files(host: Host, source: Source, state: State) -> list[str]:
    """List the tracked files that differ from those of the release that serves; none before the first."""
    if state.facts is None:
        return []
    target = f"{state.root}/releases/{state.facts.id}/project/"
    listed = _sync(host, source, target, "--dry-run", "--checksum", "--out-format=%i %n")
    # "<f" is a file that would be sent; a line of dots would only change its times.
    return [line.partition(" ")[2] for line in listed.splitlines() if line.startswith("<f")]


def _sync(host: Host, source: Source, target: str, *options: str) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".list") as names:
        names.write("\0".join(source.files()))
        names.flush()
        selected = ["--links", "--perms", "--from0", f"--files-from={names.name}"]
        return host.rsync(f"{source.project}/", target, *selected, *options)


def finish_script(state: State, facts: Facts, *, models_toml: str | None) -> str:
    """Write the script that completes a release; `models_toml` is this host's, where it differs from the project's."""
    inv = _INV.format(root=shlex.quote(state.root), runtime=facts.runtime, venv=facts.venv, id=facts.id)
    script = _FINISH.format(facts=json.dumps(asdict(facts)), inv=inv)
    if models_toml is not None:
        # Another file in its place: the uploaded one may be a hard link to that of another release.
        own = f"rm project/models.toml\ncat >project/models.toml <<'models.toml'\n{models_toml}\nmodels.toml\n"
        script = script.replace("cat >release.json", f"{own}cat >release.json", 1)
    return f"root={shlex.quote(state.root)} id={shlex.quote(facts.id)}\n{script}"


def models_of(host: HostSettings, models_toml: Path) -> str | None:
    """Give models.toml without the entries that are meant for other hosts; None where it is the same for all."""
    text = read_catalog_text(models_toml)
    if "hosts" not in text:
        return None
    import tomlkit

    document: Any = tomlkit.parse(text)
    models = document["models"]
    for name, entries in list(models.items()):
        for index in reversed(range(len(entries))):
            if not host.serves(entries[index].pop("hosts", [])):
                del entries[index]
        if not entries:
            del models[name]
    return tomlkit.dumps(document)
