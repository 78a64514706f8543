#!/usr/bin/env bash
# Exits with 0 once every expected version answers that it is ready, else names one that does not. /v2/health/ready would
# answer 200 without a model whose config does not parse. Neither curl nor wget is in every image of Triton; bash is.
set -u
port=8000
fail() { echo "$1"; exit 1; }
while IFS= read -r path; do
    status=
    { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null || fail "Triton does not answer on port $port yet"
    printf 'GET /v2/%s/ready HTTP/1.0\r\n\r\n' "$path" >&3
    IFS= read -r -t 4 status <&3
    exec 3>&-
    case $status in
        'HTTP/'*' 200 '*) ;;
        *) fail "not ready: $path" ;;
    esac
done <<'EXPECTED'
EXPECTED
