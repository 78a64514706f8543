#compdef inv invoke
# Completion of `inv` for zsh: tasks, options and values, asked of the `inv` on the command line.
_tritonops_inv() {
    local -a lines names descriptions
    local line
    lines=("${(@f)$("${words[1]/#\~/$HOME}" --complete-words zsh "${(@)words[1,CURRENT]}" 2>/dev/null)}")
    if [[ $lines[1] == :files ]]; then
        compset -P '--[^=]*='
        _files
        return
    fi
    for line in $lines; do
        names+=("${line%%$'\t'*}")
        descriptions+=("${line/$'\t'/  -- }")
    done
    (( $#names )) && compadd -l -d descriptions -a names
}
if (( ! $+functions[compdef] )); then
    autoload -Uz compinit && compinit -u
fi
compdef _tritonops_inv inv invoke
