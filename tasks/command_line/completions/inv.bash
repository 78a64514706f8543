# Completion of `inv` for bash: tasks, options and values, asked of the `inv` on the command line.
_tritonops_inv() {
    local line candidates=()
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        [[ $line =~ ^[A-Za-z0-9_.,:=@%/+-]*$ ]] || printf -v line %q "$line"
        candidates+=("$line")
    done < <("${COMP_WORDS[0]/#\~/$HOME}" --complete-words bash "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
    if [ "${candidates[0]-}" = :files ]; then
        local current=${COMP_WORDS[COMP_CWORD]}
        [ "$current" != = ] || current=
        compopt -o filenames 2>/dev/null
        candidates=()
        while IFS= read -r line; do
            candidates+=("$line")
        done < <(compgen -f -- "$current")
    fi
    COMPREPLY=("${candidates[@]}")
}
complete -F _tritonops_inv inv invoke
