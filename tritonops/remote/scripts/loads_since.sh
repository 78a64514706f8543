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
    stat -c '%i:%s' shared/.server/triton.log 2>/dev/null || true
}

# A log that was cut, or cannot be read, tells nothing: any of the release's models may have been loaded.
every_load() { sed "s/.*/successfully loaded '&'/" current/listed; }

# The models that were loaded since an activation: `loads_since RUNTIME LOG_END TIME`, a name a line. Each load is in the
# log of the server, whatever client sent it, also one with a config or files of its own, which no disk shows. One without
# a new instance read no file: Triton says so of a model when an ensemble with it is loaded.
loads_since() {
    if [ "$1" = embedded ]; then
        log=$(log_end)
        [ "${log%%:*}" = "${2%%:*}" ] && [ "${log##*:}" != "${2##*:}" ] || return 0
        if [ "${log##*:}" -lt "${2##*:}" ]; then every_load
        else tail -c "+$((${2##*:} + 1))" shared/.server/triton.log; fi
    elif [ -n "$3" ]; then
        if ! container=$(server_container); then every_load
        elif [ -n "$container" ]; then docker logs --since "$3" "$container" 2>&1 || every_load; fi
    fi | awk -F "'" '
        /] "?loading: / { name = $0; sub(/.*loading: /, "", name); sub(/:[^:]*$/, "", name); read[name] = 0 }
        /ModelInstanceInitialize: / { for (name in read) read[name] = 1 }
        /successfully loaded / { if (!($2 in read) || read[$2]) print $2; delete read[$2] }
    ' | LC_ALL=C sort -u
}
