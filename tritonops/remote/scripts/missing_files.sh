#!/bin/sh
# shellcheck disable=SC2154 # sizes: a SHA-256 and a size a line
# The large files that the host lacks.
printf %s "$sizes" | while read -r sha256 size; do
    found=no
    for file in "shared/.store/$sha256" "shared/.store/incoming/$sha256"; do
        if [ "$(stat -c %s "$file" 2>/dev/null)" = "$size" ]; then found=yes; fi
    done
    [ "$found" = yes ] || printf 'missing\t%s\n' "$sha256"
done
