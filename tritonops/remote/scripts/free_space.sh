#!/bin/sh
# In kB; runs in the folder of TRITON_REMOTE_DIR, after answer.sh.
answer_free() {
    # shellcheck disable=SC2046 # blocks, and bytes of each
    set -- $(stat -f -c '%a %S' .)
    answer free "$(($1 * ($2 / 512) / 2))"
}
