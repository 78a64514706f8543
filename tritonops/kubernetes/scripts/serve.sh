#!/bin/sh
# Starts Triton with the options that follow, as the container's own process. What we have no use for, and what makes the
# server touch its own memory and files, is closed by a key that nobody knows. A token takes the key's place, and closes
# the models' configs and control as well. Triton takes a key only as an argument.
set -eu
closed=shared-memory,trace,logging
key=closed=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
token=$(printf %s "${TRITON_TOKEN:-}") # without the newline that a Secret made from a file ends in
if [ -n "$token" ]; then
    closed=$closed,model-repository,model-config
    key=triton-token=$token
fi
exec tritonserver "$@" "--grpc-restricted-protocol=$closed:$key" "--http-restricted-api=$closed:$key"
