#!/bin/sh
# shellcheck disable=SC2154 # root; arguments: the task and its options
# The task ends with the connection: $PPID is the sshd of this session.
exec 3<&0 # a command in the background would get /dev/null
"$root/current/inv" "$@" <&3 3<&- &
task=$!
{ tail --pid="$PPID" -f /dev/null; kill "$task"; } >/dev/null 2>&1 &
wait "$task"
