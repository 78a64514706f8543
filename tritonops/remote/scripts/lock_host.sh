#!/bin/sh
# shellcheck disable=SC2154 # root, owner: a JSON object, but for its first brace
set -e
mkdir -p -- "$root"
printf '{"since": "%s", %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$owner" >"$root/lock"
