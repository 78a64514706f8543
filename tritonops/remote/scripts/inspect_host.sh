#!/bin/sh
# shellcheck disable=SC2154 # root
# What a deploy with nothing to do needs, and no more: preflight.sh asks the rest.
cd -- "$HOME" || exit
answer home "$PWD"
cd -- "$root" 2>/dev/null || exit 0
require_readable env
answer root "$PWD"
answer current "$(readlink current)"
answer release "$(cat current/release.json 2>/dev/null)"
answer activation "$(cat current/outcome.json 2>/dev/null)"
answer interrupted "$(cat shared/switching.json 2>/dev/null)"
answer owner "$(cat lock 2>/dev/null)"
pid=$(sed -n 's/.*"pid": \([0-9][0-9]*\).*/\1/p' lock 2>/dev/null)
if [ -n "$pid" ] && awk -v pid="$pid" -v inode=":$(stat -c %i lock)$" \
    '$2 == "FLOCK" && $5 == pid && $6 ~ inode { found = 1 } END { exit !found }' /proc/locks; then answer locked yes; fi
answer digests "$(digests | tr '\n' ' ')"
by_hand
runtime=$(sed -n 's/.*"runtime": "\([a-z]*\)".*/\1/p' current/release.json 2>/dev/null | head -n 1)
log_end=$(sed -n 's/.*"log_end": "\([0-9:]*\)".*/\1/p' current/outcome.json 2>/dev/null | head -n 1)
loaded_at=$(sed -n 's/.*"loaded_at": "\([0-9TZ:.-]*\)".*/\1/p' current/outcome.json 2>/dev/null | head -n 1)
[ -z "$loaded_at" ] || answer loaded_since "$(loads_since "$runtime" "$log_end" "$loaded_at" | tr '\n' ' ')"
answer env "$(read_env env)"
answer served_env "$(read_env "envs/$(basename -- "$(readlink current)")")"
answer started "$(cat shared/runtime 2>/dev/null)"
answer free "$(df -Pk . | awk 'NR == 2 { print $4 }')"
