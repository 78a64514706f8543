#!/bin/sh
# shellcheck disable=SC2154 # root, runtime, end, at, server
cd -- "$root" || exit
loads_since "$runtime" "$end" "$at" "$server"
