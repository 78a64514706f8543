#!/bin/sh
# An env file in base64, because any line of it may belong to a value of several lines.
read_env() { base64 2>/dev/null <"$1" | tr -d '\n'; }
