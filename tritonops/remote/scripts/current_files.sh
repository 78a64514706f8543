#!/bin/sh
# shellcheck disable=SC2154 # root
cd -- "$root/current/project" || exit
listing | base64
