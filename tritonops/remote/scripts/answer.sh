#!/bin/sh
# An answer to the client: a key, a tab and a value on one line.
answer() { printf '%s\t%s\n' "$1" "$2"; }
