#!/bin/sh
# shellcheck disable=SC2154 # root, id, record, wrapper, has_own_models, models_toml
# In the folder that receive_release.sh filled. models.toml becomes this host's where it names hosts.

# The bytecode that the activation of the current release left, if it is still that, of the sources that both manifests
# have: compiling all takes as long as a start of Triton. Equal sources have equal mtimes, so Python takes it.
link_bytecode() {
    release=$PWD
    cd -- "$root/current/project" || return
    sha256sum --status --strict -c ../bytecode || return
    cat ../manifest "$release/manifest" | tr '\0' '\n' | LC_ALL=C sort | uniq -d | LC_ALL=C awk '
        NR == FNR { unchanged[substr($0, 69)]; next } # after a SHA-256, two spaces and ./
        { source = path = substr($0, 67); sub(/__pycache__\//, "", source); sub(/\.[^\/]*$/, "", source) }
        { sub(/\.[^.\/]*$/, "", source) } # the name of the interpreter
        source ".py" in unchanged { print path }
    ' - ../bytecode | xargs -d '\n' -r cp -l --parents -t "$release/project" --
}
(link_bytecode) 2>/dev/null || true
if [ "$has_own_models" = yes ]; then
    rm project/models.toml
    printf '%s\n' "$models_toml" >project/models.toml
fi
ln -sf "../../../envs/$id" project/.env
printf '%s\n' "$record" >release.json
printf %s "$wrapper" >inv
chmod +x inv
cd ..
mv -- "$id.partial" "$id"
ln -sfn current/inv ../inv
