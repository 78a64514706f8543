#!/bin/sh
# shellcheck disable=SC2154 # venv, compose, gpu_in_container, image
# Whether a host is fit to serve. Runs in the folder of TRITON_REMOTE_DIR.
has() { command -v "$1" >/dev/null 2>&1; }
PATH="$PATH:$HOME/.local/bin:/usr/sbin"
answer now "$(date +%s)"
answer free "$(df -Pk . | awk 'NR == 2 { print $4 }')"
# Some filesystems, such as btrfs, have no fixed number of inodes.
answer inodes "$(df -Pi . 2>/dev/null | awk 'NR == 2 && $2 > 0 { print $4 }')"
case $PWD in *:*) answer colon "$PWD" ;; esac
probe=./.tritonops-probe-$$
if (printf '#!/bin/sh\n' >"$probe" && chmod 700 "$probe") 2>/dev/null; then
    answer writes yes
    if "$probe" 2>/dev/null; then answer executes yes; fi
    rm -f "$probe"
fi
if [ "$(find . -maxdepth 0 -printf x 2>/dev/null)" = x ]; then answer has find; fi
for tool in rsync uv docker; do if has "$tool"; then answer has "$tool"; fi; done
[ ! -d "shared/venvs/$venv" ] || answer venv yes
# One that is whole needs no Python of the host's.
if [ -x "shared/venvs/$venv/bin/python" ] && [ -f "shared/venvs/$venv/.requirements.txt" ]; then answer python "$venv"
else
    for python in python3.12 python3.11 python3 python3.13; do
        if has "$python" && "$python" -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            2>/dev/null; then answer python "$python"; break; fi
    done
fi
if [ "$compose" = yes ] && has docker; then
    answer engine "$(docker info --format '{{.ServerVersion}}' 2>&1 | tail -1)"
    answer compose "$(docker compose version --short 2>/dev/null)"
    answer endpoint "$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null)"
    answer security "$(docker info --format '{{.SecurityOptions}}' 2>/dev/null)"
    own="unix://${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/docker.sock"
    if [ -S "${own#unix://}" ]; then
        answer own "$(docker --host "$own" info --format '{{.SecurityOptions}}' 2>/dev/null)"
    fi
    if [ -e "/var/lib/systemd/linger/$(id -un)" ]; then answer linger yes; fi
fi
if has nvidia-smi; then answer gpus "$(nvidia-smi -L 2>/dev/null | grep -c '^GPU')"; fi
# The image of the release that serves, where the env file names none.
[ -n "$image" ] || image=$(sed -n 's/.*TRITON_IMAGE:-\([^}]*\)}.*/\1/p' current/project/ml.yml 2>/dev/null)
answer image "$image"
if [ "$gpu_in_container" = yes ] && has docker; then
    answer runtimes "$(docker info --format '{{range $name, $_ := .Runtimes}}{{$name}} {{end}}' 2>/dev/null)"
    for tool in nvidia-ctk nvidia-container-runtime-hook; do if has "$tool"; then answer has "$tool"; fi; done
    if docker image inspect "$image" >/dev/null 2>&1; then
        answer contained "$(timeout 60 docker run --rm --gpus all --entrypoint nvidia-smi "$image" -L 2>/dev/null |
            grep -c '^GPU')"
    fi
fi
