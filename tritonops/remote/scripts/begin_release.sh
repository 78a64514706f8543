#!/bin/sh
# shellcheck disable=SC2154 # root, label
# Numbers a release under the lock: the order of releases is the host's own, whatever clock a client has.
set -eu
umask 022
mkdir -p -- "$root"
cd -- "$root"
mkdir -p releases shared/triton shared/triton-disabled shared/venvs shared/.store/incoming
[ -e env ] || (umask 077; : >./env)
chmod 600 env
command -v flock >/dev/null || { echo "flock is not installed there: sudo apt install util-linux" >&2; exit 1; }
exec 9>>lock
tries=0
# An empty file of a lock that is taken is another deploy at this very step, or one that is about to write its name.
until flock -n 9; do
    if [ -s lock ]; then printf 'locked\t%s\n' "$(cat lock)"; exit 0; fi
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "the file lock there cannot be locked" >&2; exit 1; }
    sleep 0.1
done
numbers() {
    echo 0
    sed -n '/^[0-9]\{1,9\}$/p' number 2>/dev/null || true
    for release in releases/*; do echo "${release#releases/}"; done | sed -n 's/^r0*\([0-9]\{1,9\}\)-.*/\1/p'
}
number=$(($(numbers | sort -n | tail -n 1) + 1))
id=$(printf 'r%06d-%s' "$number" "$label")
printf '%s\n' "$number" >number.new
mv number.new number
mkdir "releases/$id.partial" "releases/$id.partial/project"
exec 9>&-
printf 'id\t%s\nat\t%s\n' "$id" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
find releases -maxdepth 1 -name '*.partial' ! -name "$id.partial" -mmin +1440 -exec rm -rf {} +
