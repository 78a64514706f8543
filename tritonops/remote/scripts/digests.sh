#!/bin/sh
# Functions that client and host share; they run in the folder of TRITON_REMOTE_DIR.

# For awk: the names that the release lists; `left` is below 0 where it has no such list.
listed='BEGIN { while ((left = (getline name <"current/listed")) > 0) listed[name] }'

files() {
    find -H shared/triton shared/triton-disabled -type f ! -name .exclude "$@" 2>/dev/null |
        LC_ALL=C awk -F / "$listed"' left < 0 || $1 in listed' | LC_ALL=C sort | sha256sum | cut -c1-16
}

# Three lines: a digest of the files of the models that the release lists, one of the env file, and the seal of those
# files. The kernel sets a ctime itself, so nobody can change or replace a file and keep the seal.
# The first line is what earlier versions recorded: a dash where there is a seal. Not the times of directories: a load
# by hand touches them. Nor .exclude, which a start or a load changes.
digests() {
    case $(cat current/outcome.json 2>/dev/null) in
        *'"seal": "'[0-9a-f]*) echo - ;;
        *) files -printf '%P %i %s %T@\n' ;;
    esac
    { cat env 2>/dev/null || true; } | sha256sum | cut -c1-16
    files ! -path '*/__pycache__/*' -printf '%P %i %s %T@ %C@\n'
}
