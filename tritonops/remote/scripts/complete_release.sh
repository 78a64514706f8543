#!/bin/sh
# shellcheck disable=SC2154 # id, record, wrapper, has_own_models, models_toml
# In the folder that receive_release.sh filled. models.toml becomes this host's where it names hosts.
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
