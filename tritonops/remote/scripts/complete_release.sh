#!/bin/sh
# shellcheck disable=SC2154 # root, id, record, wrapper, has_own_models, models_toml
# In the folder that receive_release.sh filled. models.toml becomes this host's where it names hosts.

# The bytecode that the activation of the current release left, if it is still that: compiling all sources takes as long as
# a start of Triton. Python takes none whose source had another size or mtime, which the client derives from the content.
link_bytecode() {
    project=$PWD/project
    cd -- "$root/current/project" || return
    sha256sum --status --strict -c ../bytecode || return
    IFS='
'
    set -f
    # shellcheck disable=SC2013 # IFS
    for path in $(cut -c67- ../bytecode); do
        name=${path##*/}
        [ ! -f "$project/${path%/__pycache__/*}/${name%%.*}.py" ] || printf '%s\0' "$path"
    done | xargs -0r cp -l --parents -t "$project" --
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
