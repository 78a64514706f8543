#!/bin/sh
# shellcheck disable=SC2154 # root
cd -- "$root" 2>/dev/null || cd /
