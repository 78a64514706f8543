#!/bin/sh
# shellcheck disable=SC2154 # root
# Before the first deploy: where the folder will be made.
cd -- "$root" 2>/dev/null || cd 2>/dev/null || cd /
