#!/bin/sh
# shellcheck disable=SC2154 # root, measure_free
# What a deploy with nothing to do needs, and no more: preflight.sh asks the rest. With the fewest processes: on many
# hosts at once each counts. Prints answers, a NUL, a record of each file with a NUL after it, a second NUL, outcome.json,
# and after a NUL and a line the env file as it is, because any line of it may belong to a value of several lines.
cd -- "$HOME" || exit
answer home "$PWD"
cd -- "$root" 2>/dev/null || exit 0
require_readable env
top=$PWD
answer root "$top"
[ "$measure_free" = no ] || answer_free
answer_first_line() {
    line= && [ ! -r "$2" ] || IFS= read -r line <"$2" || true
    answer "$1" "$line"
}
# A link to a folder that is gone is read by a process of its own.
if cd -P ./current 2>/dev/null; then current=releases/${PWD##*/}; else current=$(readlink current); fi
cd -- "$top" || exit
answer current "$current"
answer_first_line release "$current/release.json"
answer_first_line interrupted shared/switching.json
answer_first_line started shared/runtime
if lost_log; then answer log_lost yes; fi
answer_first_line owner lock
pid=${line#*'"pid": '}
pid=${pid%%[!0-9]*}
if [ -n "$pid" ] && awk -v pid="$pid" -v inode=":$(stat -c %i lock)$" \
    '$2 == "FLOCK" && $5 == pid && $6 ~ inode { found = 1 } END { exit !found }' /proc/locks; then answer locked yes; fi
for name in shared/triton/*/; do
    name=${name%/}
    [ ! -d "$name" ] || answer model "${name##*/}"
done
if [ -r "$current/listed" ]; then
    answer is_listed yes
    while IFS= read -r name; do answer listed "$name"; done <"$current/listed"
fi
# Written by a release, in lines of text.
copy=envs/${current##*/}
line=
[ ! -f "$copy" ] || [ ! -r "$copy" ] || while IFS= read -r line || [ -n "$line" ]; do answer served_env "$line"; done <"$copy"
# The client makes of these what digests.sh does.
printf '\0'
find -H shared/triton shared/triton-disabled shared/.server/triton.log -type f ! -name .exclude \
    -printf '%H\t%P %i %s %T@ %C@\0' 2>/dev/null
printf '\0'
set --
[ ! -f "$current/outcome.json" ] || [ ! -r "$current/outcome.json" ] || set -- "$current/outcome.json"
set -- "$@" -
[ ! -s env ] || set -- "$@" env
# Not a here-document: bash before 5.1 writes one to a file, and the disk may be full.
printf '\0env:\n' | cat "$@"
