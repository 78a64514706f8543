#!/bin/sh
# Runs in the folder of TRITON_REMOTE_DIR, after loads_since.sh.

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
