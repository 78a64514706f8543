#!/bin/sh
# shellcheck disable=SC2154 # root, id, runner, run, by, kind, prune_models
# Detached, so it survives a lost connection. The activation record is the last line of its log.
cd -- "$root/releases/$id" || exit
# On a full disk not even the log could be written.
[ "$(df -Pk . | awk 'NR == 2 { print $4 }')" -ge 1024 ] || rm -f -- "$root/shared/reserve"
mkdir -p runs
: >"runs/$run.log"
[ -x "../$runner/project/inv" ] || runner=$id
set -- remote.activate "$id" --by "$by" --kind "$kind"
[ "$prune_models" = no ] || set -- "$@" --prune-models
setsid nohup "../$runner/inv" "$@" >"runs/$run.log" 2>&1 </dev/null &
echo $! >"runs/$run.pid"
