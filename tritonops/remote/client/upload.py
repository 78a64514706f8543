"""Make a release on a host: check the host, send the files, write what belongs to it."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tritonops.errors import DeployError
from tritonops.models.catalog.parsing import read_catalog_text
from tritonops.remote.client.checkout import GitCheckout
from tritonops.remote.client.host_state import HostState, parse
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.client.manifest import LISTING, parse_listing
from tritonops.remote.client.preflight import HostAnswers, preflight, require_fit
from tritonops.remote.layout.deploy_lock import LockOwner, host_locked_error, parse_lock_owner
from tritonops.remote.layout.inv_wrapper import inv_wrapper
from tritonops.remote.layout.records import ReleaseRecord
from tritonops.remote.ssh.host import Host
from tritonops.triton_image import DEFAULT_IMAGE

# A release is numbered under the lock: the order of releases is the host's own, whatever clock anybody has.
# An empty file of a lock that is taken is another deploy at this very step, or one that is about to write who it is.
_BEGIN = r"""
set -eu
umask 022
mkdir -p -- "$root"
cd -- "$root"
mkdir -p releases shared/triton shared/triton-disabled shared/venvs shared/.store/incoming
[ -e env ] || (umask 077 && : >env)
chmod 600 env
command -v flock >/dev/null || { echo "flock is not installed there: sudo apt install util-linux" >&2; exit 1; }
exec 9>>lock
tries=0
until flock -n 9; do
    if [ -s lock ]; then printf 'locked\t%s\n' "$(cat lock)"; exit 0; fi
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "the file lock there cannot be locked" >&2; exit 1; }
    sleep 0.1
done
given() {
    sed -n '/^[0-9]\{1,9\}$/p' number 2>/dev/null || true
    ls releases | sed -n 's/^r0*\([0-9]\{1,9\}\)-.*/\1/p'
}
number=$(($({ echo 0; given; } | sort -n | tail -n 1) + 1))
id=$(printf 'r%06d-%s' "$number" "$label")
printf '%s\n' "$number" >number.new
mv number.new number
mkdir "releases/$id.partial" "releases/$id.partial/project"
exec 9>&-
printf 'id\t%s\nat\t%s\n' "$id" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
find releases -maxdepth 1 -name '*.partial' ! -name "$id.partial" -mmin +1440 -exec rm -rf {} +
"""

_LACKING = """
while read -r sha256 size; do
    found=no
    for file in "shared/.store/$sha256" "shared/.store/incoming/$sha256"; do
        if [ "$(stat -c %s "$file" 2>/dev/null)" = "$size" ]; then found=yes; fi
    done
    [ "$found" = yes ] || printf 'lacks\\t%s\\n' "$sha256"
done <<'sizes'
{sizes}sizes
"""

# What arrived is compared with the manifest before anything of it runs. A file that is not what its digest says is
# moved out of the way, so that the next deploy sends it again.
_SEND = r"""
set -eu
umask 022
cd -- "$root/releases/$id.partial"
store=$root/shared/.store
take() {
    from=$store/incoming/$1
    [ -e "$from" ] || from=$store/$1
    mkdir -p -- "$(dirname -- "project/$3")"
    if [ "$2" = x ]; then
        cp -- "$from" "project/$3"
        chmod 755 "project/$3"
    else
        ln -- "$from" "project/$3" 2>/dev/null || cp -- "$from" "project/$3"
        [ ! -x "project/$3" ] || chmod a-x "project/$3"
    fi
}
replace_damaged() {
    mkdir -p "$store/replaced"
    for file in "$store/incoming/$1" "$store/$1"; do
        [ ! -e "$file" ] || [ "$(sha256sum <"$file" | cut -c1-64)" = "$1" ] || mv -- "$file" "$store/replaced/$1"
    done
}
lines() { tr '\n\0' '?\n' <"$1" | LC_ALL=C sort; }
tar -xzmf - --no-same-owner
large take
(cd project && listing) >listing
cmp -s listing manifest || {
    large replace_damaged
    lines manifest >expected
    lines listing | LC_ALL=C comm -3 expected - | cut -c1-200 | head -n 6 >&2
    exit $different
}
rm listing
"""
_DIFFERENT = 45

_FINISH = """
ln -sf "../../../envs/$id" project/.env
cat >release.json <<'release.json'
{record}
release.json
cat >inv <<'inv'
{inv}inv
chmod +x inv
cd ..
mv -- "$id.partial" "$id"
ln -sfn current/inv ../inv
"""


def begin(
    host: Host, state: HostState, checkout: GitCheckout, here: HostSettings, wanted: Mapping[str, Path]
) -> tuple[ReleaseRecord, dict[str, Path]]:
    """Number a release and make its folders, once the host is seen to be fit for it; find out which files it lacks.

    `wanted` are large files by their SHA-256. Raises HostLockedError where somebody is at work by now, and DeployError.
    """
    sizes = "".join(f"{sha256} {path.stat().st_size}\n" for sha256, path in wanted.items())
    variables = f"root={shlex.quote(state.root)} label={shlex.quote(checkout.label)}\n"
    questions = preflight(here, venv=checkout.venv, image=shlex.quote(state.image or DEFAULT_IMAGE))
    output = host.run(f"{variables}{_BEGIN}{_LACKING.format(sizes=sizes)}{questions}", check=False)
    if output.code:
        raise DeployError(f"cannot write to {state.root}: {output.stderr.strip()}")
    answers = parse(output.stdout)
    if "locked" in answers:
        raise host_locked_error(
            host.name, parse_lock_owner(answers["locked"][0]) or LockOwner("somebody", "just now", "a deploy", 0)
        )
    require_fit(host.name, HostAnswers(answers, here))
    record = checkout.release_record(here, release=answers["id"][0], at=answers["at"][0])
    return record, {sha256: wanted[sha256] for sha256 in answers.get("lacks", [])}


def send(host: Host, checkout: GitCheckout, here: HostSettings, state: HostState, record: ReleaseRecord) -> None:
    """Send the files of a release into its folder, where they are compared with the manifest, and complete it.

    The large ones are on the host already. Raises DeployError where what arrived is not what was hashed here.
    """
    variables = f"root={shlex.quote(state.root)} id={shlex.quote(record.id)} different={_DIFFERENT}\n"
    script = f"{variables}{LISTING}{_large(checkout)}{_SEND}{_finish(checkout, here, state, record)}"
    output = host.run(script, data=checkout.packed, check=False)
    if output.code == _DIFFERENT:
        raise DeployError(
            f"{host.name}: what arrived is not what was hashed here (left: expected, right: there):\n{output.stderr}",
            hint="Were files changed meanwhile? Deploy again: everything is hashed and sent again.",
        )
    if output.code:
        raise DeployError(f"{host.name}: the files cannot be written to {state.root}: {output.stderr.strip()}")


def _large(checkout: GitCheckout) -> str:
    """Write the function `large`, which runs its argument for each large file."""
    files = [[file.sha256, "x" if file.is_executable else "-", file.path] for file in checkout.manifest.large]
    return "large() {\n" + "".join(f'"$1" {shlex.join(words)}\n' for words in files) + ":\n}\n"


def changed_files(host: Host, checkout: GitCheckout, here: HostSettings, state: HostState) -> list[str]:
    """List the files that differ from those of the release that serves, by content; none before the first."""
    if state.release is None:
        return []
    script = f"cd -- {shlex.quote(state.root)}/current/project\n{LISTING}listing | base64"
    there = parse_listing(base64.b64decode(host.run(script).stdout))
    expected = dict(parse_listing(checkout.manifest.text))
    if (own := models_of(here, checkout.models_toml)) is not None:
        expected["models.toml"] = hashlib.sha256(f"{own}\n".encode()).hexdigest()
    return sorted(path for path, content in expected.items() if there.get(path) != content)


def _finish(checkout: GitCheckout, here: HostSettings, state: HostState, record: ReleaseRecord) -> str:
    """Write the script that completes a release; models.toml becomes this host's where it names hosts."""
    script = _FINISH.format(record=json.dumps(asdict(record)), inv=inv_wrapper(state.root, record))
    own = models_of(here, checkout.models_toml)
    return (
        script
        if own is None
        else f"rm project/models.toml\ncat >project/models.toml <<'models.toml'\n{own}\nmodels.toml\n{script}"
    )


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
