#!/bin/sh
# Functions about the process that serves; they run in the folder of TRITON_REMOTE_DIR.

# The identity of the process that serves the models of this folder: `server_process RUNTIME`; nothing without one. A
# server of another folder that has the port is none. Client and host compare the words, which are in records of earlier
# versions too.
server_process() {
    if [ "$1" = embedded ]; then
        pid=$(sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p' shared/.server/triton.pid 2>/dev/null | head -n 1)
        [ -n "$pid" ] && line=$(cat "/proc/$pid/stat" 2>/dev/null) || return 0
        # shellcheck disable=SC2086 # in fields
        set -- ${line##*) }
        echo "pid $pid, started ${20}"
    else
        container=$(server_container)
        [ -z "$container" ] ||
            docker inspect --format 'pid {{.State.Pid}}, started {{.State.StartedAt}}' "$container" 2>/dev/null
    fi
}

# The running container that has the models of this folder.
server_container() {
    containers=$(docker ps --no-trunc --quiet 2>/dev/null)
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
    stat -c '%i:%s' shared/.server/triton.log 2>/dev/null || true
}

# The models that were loaded since an activation: `loads_since RUNTIME LOG_END TIME`, a name a line. Each load is in the
# log of the server, whatever client sent it, also one with a config or files of its own, which no disk shows. One without
# a new instance read no file: Triton says so of a model when an ensemble with it is loaded.
loads_since() {
    if [ "$1" = embedded ]; then
        [ "${2%%:*}" = "$(stat -c %i shared/.server/triton.log 2>/dev/null)" ] || return 0
        tail -c "+$((${2##*:} + 1))" shared/.server/triton.log
    else
        container=$(server_container)
        [ -z "$container" ] || [ -z "$3" ] || docker logs --since "$3" "$container" 2>&1
    fi | awk -F "'" '
        /] "?loading: / { name = $0; sub(/.*loading: /, "", name); sub(/:[^:]*$/, "", name); read[name] = 0 }
        /ModelInstanceInitialize: / { for (name in read) read[name] = 1 }
        /successfully loaded / { if (!($2 in read) || read[$2]) print $2; delete read[$2] }
    ' | LC_ALL=C sort -u
}
