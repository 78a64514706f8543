"""Shell functions that client and host share."""

from __future__ import annotations

# For awk: `left` is below 0 where the release has no such list.
_READ_LISTED = 'BEGIN { while ((left = (getline name <"current/listed")) > 0) listed[name] }'
# Three lines: a digest of the files of the models that the release lists, one of the env file, and the seal of those
# files. Nobody can change a file, or put another in its place, so that the seal stays: the kernel sets a ctime itself.
# The first line is what earlier versions recorded: a dash where there is a seal. Not the times of directories: a load
# by hand touches them. Nor .exclude, which a start or a load changes.
DIGESTS = rf"""
files() {{
    find shared/triton shared/triton-disabled -type f ! -name .exclude "$@" 2>/dev/null |
        LC_ALL=C awk -F / '{_READ_LISTED} left < 0 || $1 in listed' | LC_ALL=C sort | sha256sum | cut -c1-16
}}
case $(cat current/outcome.json 2>/dev/null) in
    *'"seal": "'[0-9a-f]*) echo - ;;
    *) files -printf '%P %i %s %T@\n' ;;
esac
{{ cat env 2>/dev/null || true; }} | sha256sum | cut -c1-16
files ! -path '*/__pycache__/*' -printf '%P %i %s %T@ %C@\n'
"""
# A line for each model that Triton is shown and the release does not list.
BY_HAND = rf"""find -L shared/triton -mindepth 1 -maxdepth 1 -type d -printf '%f\n' 2>/dev/null |
    LC_ALL=C awk '{_READ_LISTED} left == 0 && !($0 in listed) {{ print "by_hand\t" $0 }}'"""
# The process that serves: `server RUNTIME GRPC_PORT`, in the folder of TRITON_REMOTE_DIR; nothing where it is unknown.
SERVER = r"""
server() {
    if [ "$1" = embedded ]; then
        pid=$(sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p' shared/.server/triton.pid 2>/dev/null | head -n 1)
        [ -n "$pid" ] && line=$(cat "/proc/$pid/stat" 2>/dev/null) || return 0
        set -- ${line##*) }
        echo "pid $pid, started ${20}"
    else
        container=$(docker ps --no-trunc --quiet --filter "publish=$2" 2>/dev/null | head -n 1)
        [ -z "$container" ] ||
            docker inspect --format 'pid {{.HostState.Pid}}, started {{.HostState.StartedAt}}' "$container" 2>/dev/null
    fi
}
"""
