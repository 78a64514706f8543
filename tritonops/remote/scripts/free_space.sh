#!/bin/sh
# Runs in the folder of TRITON_REMOTE_DIR.
# shellcheck disable=SC2046 # blocks, and bytes of each
set -- $(stat -f -c '%a %S' .)
answer free "$(($1 * ($2 / 512) / 2))"
