#!/bin/sh
# Whether the embedded server of TRITON_REMOTE_DIR, the working directory, writes into another file than its log: one that
# was removed or replaced since. Its loads are in no log that anybody reads then.
lost_log() {
    pid='' started=''
    [ -r shared/.server/triton.pid ] || return 1
    while IFS= read -r line; do
        value=${line#*: }
        case $line in
            *'"pid": '*) pid=${value%%[!0-9]*} ;;
            *'"started": '*) started=${value%%[!0-9]*} && break ;;
        esac
    done <shared/.server/triton.pid
    [ -n "$pid" ] && [ -r "/proc/$pid/stat" ] && IFS= read -r line <"/proc/$pid/stat" || return 1
    # The number of a server that has ended may be another process's.
    # shellcheck disable=SC2086 # in fields
    set -- ${line##*) }
    [ "${20}" = "$started" ] || return 1
    # The file of a descriptor is there also where it was deleted; that of another user's process is not seen.
    [ -e "/proc/$pid/fd/1" ] && ! [ "/proc/$pid/fd/1" -ef shared/.server/triton.log ]
}
