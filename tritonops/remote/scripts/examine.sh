#!/bin/sh
# What remote.doctor asks beyond preflight.sh.
answer memory "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')"
answer driver "$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -1)"
if has ss; then ss -ltnH | awk '{ print "listens\t" $4 }'; fi
