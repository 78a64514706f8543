#!/bin/sh
# shellcheck disable=SC2154 # root
cd -- "$root" 2>/dev/null || exit
# shellcheck disable=SC2012 # by time; a log's name is ours
newest=$(ls -t releases/*/runs/*.log 2>/dev/null | head -1)
[ -z "$newest" ] || sed '/^outcome/d' "$newest"
