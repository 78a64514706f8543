#!/bin/sh
# shellcheck disable=SC2154 # root, id, run, not_started (an exit code)
cd -- "$root/releases/$id" 2>/dev/null || exit "$not_started"
[ -s "runs/$run.pid" ] || exit "$not_started"
tail -s 0.05 -n +1 --pid="$(cat "runs/$run.pid")" -f "runs/$run.log"
