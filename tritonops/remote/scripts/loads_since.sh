#!/bin/sh
# Functions about the log of the server; they run in the folder of TRITON_REMOTE_DIR.

# The running container that has the models of this folder; fails where the engine does not answer.
server_container() {
    containers=$(docker ps --no-trunc --quiet 2>/dev/null) || return
    [ -n "$containers" ] || return 0
    # shellcheck disable=SC2086 # several
    docker inspect --format '{{.Id}} {{range .Mounts}}{{if eq .Destination "/models"}}{{.Source}}{{end}}{{end}}' \
        $containers 2>/dev/null |
        while read -r id source; do
            if [ "$(readlink -f -- "$source")" = "$(readlink -f shared/triton)" ]; then echo "$id"; fi
        done | head -n 1
}

# Where the log of the embedded server ends: `INODE:BYTES`. A start begins another file.
log_end() {
    stat -L -c '%i:%s' shared/.server/triton.log 2>/dev/null || true
}

# A log that was cut, or cannot be read, tells nothing: any of the release's models may have been loaded.
every_load() {
    if [ -r current/listed ]; then cat current/listed
    else for name in shared/triton/*/; do basename "$name"; done; fi | sed "s/.*/successfully loaded '&'/"
}

# The log of the embedded server from byte $1 on, which is the end of a line unless the log was cut and has grown again.
log_from() {
    tail -c "+$1" shared/.server/triton.log 2>/dev/null | {
        IFS= read -r line
        if [ -n "$line" ]; then every_load; else cat; fi
    }
}

# The models that a log says were loaded, one for each load; with `failed` also those that failed to. A load without a
# new instance read no file: Triton says so of a model when an ensemble with it is loaded.
loads() {
    LC_ALL=C awk -F "'" -v failed="${1-}" '
        /] "?loading: / { name = $0; sub(/.*loading: /, "", name); sub(/:[^:]*$/, "", name); read[name] = 0 }
        /ModelInstanceInitialize: / { for (name in read) read[name] = 1 }
        failed && /failed to load / { print $2 }
        /successfully loaded / { if (!($2 in read) || read[$2]) print $2; delete read[$2] }
    '
}

# The models that were loaded since an activation: `loads_since RUNTIME LOG_END TIME SERVER`, a name a line; SERVER is the
# process that loaded them, as server_process.sh words it. Each load is in the log of the server, whatever client sent
# it, also one with a config or files of its own, which no disk shows.
loads_since() {
    if [ "$1" = embedded ]; then loads_in_log "$2" "$4"
    elif [ -n "$3" ]; then
        if ! container=$(server_container); then every_load
        elif [ -n "$container" ]; then docker logs --since "$3" "$container" 2>&1 || every_load; fi | loads
    fi | LC_ALL=C sort -u
}

# `loads_in_log LOG_END SERVER`. The start of a later server tries each model once, so further loads are another's.
loads_in_log() {
    [ -n "$1" ] || return 0
    end=$(log_end)
    bytes=${1##*:}
    if [ "$end" = "$1" ]; then return 0
    elif [ ! -r shared/.server/triton.log ]; then every_load | loads
    elif [ "${end%%:*}" != "${1%%:*}" ] && [ "$(server_process embedded)" != "$2" ]; then
        loads failed <shared/.server/triton.log | LC_ALL=C sort | uniq -d
    elif [ "${end%%:*}" != "${1%%:*}" ] || [ "${end##*:}" -lt "$bytes" ]; then every_load | loads
    elif [ "$bytes" = 0 ]; then loads <shared/.server/triton.log
    else log_from "$bytes" | loads; fi
}
