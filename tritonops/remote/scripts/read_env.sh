#!/bin/sh
# One that cannot be read is not an empty one: another user's would be replaced, with its secrets.
require_readable() {
    if [ -e "$1" ] && [ ! -r "$1" ]; then
        echo "the env file $PWD/$1 belongs to $(stat -c %U -- "$1"), and $(id -un) cannot read it" >&2
        exit 1
    fi
}

# An env file in base64, because any line of it may belong to a value of several lines.
read_env() { [ ! -s "$1" ] || base64 -w 0 <"$1"; }
