#!/bin/sh
# The remote shell of rsync: CONTROL_SOCKET MARKER HOST COMMAND...
# What a login shell prints before the marker is no part of rsync's protocol.
control=$1
marker=$2
shift 3
ssh -F none -T -S "$control" -o ControlMaster=no -o ProxyCommand=false host "echo $marker; exec $*" | {
    while IFS= read -r line; do
        case $line in *"$marker") exec cat ;; esac
    done
}
