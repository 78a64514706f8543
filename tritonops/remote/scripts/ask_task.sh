#!/bin/sh
# shellcheck disable=SC2154 # root; arguments: the task and its options
"$root/current/inv" "$@"
