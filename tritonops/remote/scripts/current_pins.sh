#!/bin/sh
# shellcheck disable=SC2154 # root
cat -- "$root/current/project/models.lock" 2>/dev/null || true
