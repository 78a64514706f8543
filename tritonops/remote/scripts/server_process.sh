#!/bin/sh
# The process that serves: `server_process RUNTIME GRPC_PORT`, in the folder of TRITON_REMOTE_DIR; nothing where it is
# unknown. Client and host compare the words, which are in records of earlier versions too.
server_process() {
    if [ "$1" = embedded ]; then
        pid=$(sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p' shared/.server/triton.pid 2>/dev/null | head -n 1)
        [ -n "$pid" ] && line=$(cat "/proc/$pid/stat" 2>/dev/null) || return 0
        # shellcheck disable=SC2086 # in fields
        set -- ${line##*) }
        echo "pid $pid, started ${20}"
    else
        container=$(docker ps --no-trunc --quiet --filter "publish=$2" 2>/dev/null | head -n 1)
        [ -z "$container" ] ||
            docker inspect --format 'pid {{.State.Pid}}, started {{.State.StartedAt}}' "$container" 2>/dev/null
    fi
}
