#!/bin/sh
# shellcheck disable=SC2154 # root
# What a deploy with nothing to do needs, and no more: preflight.sh asks the rest.
cd -- "$HOME" || exit
answer home "$PWD"
cd -- "$root" 2>/dev/null || exit 0
require_readable env
answer root "$PWD"
# The fewest processes: on many hosts at once each counts.
value_of() {
    value=${2#*"\"$1\": \""}
    if [ "$value" = "$2" ]; then value=''; else value=${value%%\"*}; fi
}
first_line() { line= && [ ! -r "$1" ] || IFS= read -r line <"$1" || true; }
# A link to a folder that is gone is read by a process of its own.
if [ -d current ]; then current=$(cd -P current && echo "releases/${PWD##*/}"); else current=$(readlink current); fi
answer current "$current"
first_line current/release.json
release=$line
answer release "$release"
activation=$(cat current/outcome.json 2>/dev/null)
answer activation "$activation"
first_line shared/switching.json
answer interrupted "$line"
first_line lock
owner=$line
answer owner "$owner"
pid=${owner#*'"pid": '}
pid=${pid%%[!0-9]*}
if [ -n "$pid" ] && awk -v pid="$pid" -v inode=":$(stat -c %i lock)$" \
    '$2 == "FLOCK" && $5 == pid && $6 ~ inode { found = 1 } END { exit !found }' /proc/locks; then answer locked yes; fi
# The client makes of these what digests.sh does.
encoded=$(find -H shared/triton shared/triton-disabled -type f ! -name .exclude -printf '%P %i %s %T@ %C@\n' 2>/dev/null |
    base64 -w 0) || exit
answer files "$encoded"
for name in shared/triton/*/; do
    name=${name%/}
    [ ! -d "$name" ] || answer model "${name##*/}"
done
if [ -r current/listed ]; then
    answer is_listed yes
    while IFS= read -r name; do answer listed "$name"; done <current/listed
fi
value_of runtime "$release"
runtime=$value
value_of log_end "$activation"
log_end=$value
value_of loaded_at "$activation"
set -f
# shellcheck disable=SC2046 # words
set -- ${value:+$(loads_since "$runtime" "$log_end" "$value")}
answer loaded_since "$*"
encoded=$(read_env env) || exit
answer env "$encoded"
# Written by a release, in lines of text.
copy=envs/${current##*/}
[ ! -r "$copy" ] || while IFS= read -r line || [ -n "$line" ]; do answer served_env "$line"; done <"$copy"
first_line shared/runtime
answer started "$line"
