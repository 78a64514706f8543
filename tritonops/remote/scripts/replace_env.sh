#!/bin/sh
# shellcheck disable=SC2154 # root, content (base64), before (a SHA-256), changed (an exit code)
# The file appears whole, by one rename. The content that it replaces is compared once more just before.
set -eu
umask 077
cd -- "$HOME"
mkdir -p -- "$root"
cd -- "$root"
require_readable env
printf %s "$content" | base64 -d >env.new.$$
if [ "$(cat env 2>/dev/null | sha256sum | cut -d' ' -f1)" != "$before" ]; then
    rm env.new.$$
    exit "$changed"
fi
mv env.new.$$ env
read_env env
