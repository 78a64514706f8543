#!/bin/sh
# Whether the embedded server of TRITON_REMOTE_DIR, the working directory, writes into another file than its log: one that
# was removed or replaced since. Its loads are in no log that anybody reads then.
lost_log() {
    pid='' program=''
    [ -r shared/.server/triton.pid ] || return 1
    while IFS= read -r line; do
        case $line in *'"pid": '*)
            pid=${line#*'"pid": '}
            pid=${pid%%[!0-9]*}
            ;;
        esac
    done <shared/.server/triton.pid
    [ -n "$pid" ] && [ -r "/proc/$pid/comm" ] || return 1
    # The number of a server that has ended may be another process's.
    IFS= read -r program <"/proc/$pid/comm" && [ "$program" = tritonserver ] || return 1
    # The file of a descriptor is there also where it was deleted; that of another user's process is not seen.
    [ -e "/proc/$pid/fd/1" ] && ! [ "/proc/$pid/fd/1" -ef shared/.server/triton.log ]
}
