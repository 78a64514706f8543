#!/bin/sh
# shellcheck disable=SC2154 # root, release, runtime, venv
set -eu
umask 022
export TRITON_MODELS_DIR="$root/shared/triton" TRITON_RUNTIME="$runtime"
export TRITONOPS_REQUIREMENTS="${TRITONOPS_REQUIREMENTS:-runtime}"
export TRITONOPS_VENV="$root/shared/venvs/$venv"
export TRITONOPS_SECRETS="$root/env"
if grep -qsE '^[[:space:]]*(export[[:space:]]+)?COMPOSE_PROJECT_NAME[[:space:]]*[=:]' "$root/envs/$release"; then
    unset COMPOSE_PROJECT_NAME
else
    # Of its own for each folder and user: another one's would be taken for ours, and replaced.
    user=$(id -un 2>/dev/null || id -u)
    word=$(printf %s "$user" | LC_ALL=C tr -c a-z0-9 -)
    digest=$(printf '%s:%s' "$user" "$(cd -P -- "$root" && pwd)" | sha256sum | cut -c1-8)
    export COMPOSE_PROJECT_NAME="tritonops-$word-$digest"
fi
export PATH="$PATH:$HOME/.local/bin" # where uv's installer puts it; only a login shell looks there
exec "$root/releases/$release/project/inv" "$@"
