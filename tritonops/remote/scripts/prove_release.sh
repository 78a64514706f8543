#!/bin/sh
# shellcheck disable=SC2154 # root, runtime
cd -- "$root" || exit
answer manifest "$(sha256sum 2>/dev/null <current/manifest | cut -c1-64)"
answer server "$(server_process "$runtime")"
