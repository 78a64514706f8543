#!/bin/sh
# shellcheck disable=SC2154 # root, id, different (an exit code); arguments: SHA-256, x or -, path of each large file
# Unpacks the tar on stdin. What arrived is compared with the manifest before anything of it runs; a file that is not
# what its digest says is moved away, so that the next deploy sends it again.
set -eu
umask 022
cd -- "$root/releases/$id.partial"
store=$root/shared/.store
take() {
    from=$store/incoming/$1
    [ -e "$from" ] || from=$store/$1
    mkdir -p -- "$(dirname -- "project/$3")"
    if [ "$2" = x ]; then
        cp -- "$from" "project/$3"
        chmod 755 "project/$3"
    else
        ln -- "$from" "project/$3" 2>/dev/null || cp -- "$from" "project/$3"
        [ ! -x "project/$3" ] || chmod a-x "project/$3"
    fi
}
replace_damaged() {
    mkdir -p "$store/replaced"
    for file in "$store/incoming/$1" "$store/$1"; do
        [ ! -e "$file" ] || [ "$(sha256sum <"$file" | cut -c1-64)" = "$1" ] || mv -- "$file" "$store/replaced/$1"
    done
}
each_large() {
    step=$1
    shift
    while [ $# -gt 0 ]; do
        "$step" "$1" "$2" "$3"
        shift 3
    done
}
lines() { tr '\n\0' '?\n' <"$1" | LC_ALL=C sort; }
tar -xzf - --no-same-owner
each_large take "$@"
(cd project && listing) >arrived
cmp -s arrived manifest || {
    each_large replace_damaged "$@"
    lines manifest >expected
    lines arrived | LC_ALL=C comm -3 expected - | cut -c1-200 | head -n 6 >&2
    exit "$different"
}
rm arrived
