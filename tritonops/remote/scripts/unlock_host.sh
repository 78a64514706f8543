#!/bin/sh
# shellcheck disable=SC2154 # root, pid: empty where a person locked it
# A deploy that ended meanwhile has released the lock itself.
if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; else : >"$root/lock"; fi
