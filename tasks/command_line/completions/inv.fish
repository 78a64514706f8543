# Completion of `inv` for fish: tasks, options and values, asked of the `inv` on the command line.
function __tritonops_inv
    set -l words (commandline --cut-at-cursor --tokenize --current-process)
    set -l current (commandline --cut-at-cursor --current-token)
    set -l found (eval (string escape -- (string replace -r '^~' $HOME -- $words[1])) --complete-words fish \
        (string escape -- $words $current) 2>/dev/null)
    if test "$found[1]" = :files
        __fish_complete_path (string replace -r '^--[^=]*=' '' -- $current)
    else if set -q found[1]
        printf '%s\n' $found
    end
end
complete --command inv --no-files --arguments '(__tritonops_inv)'
complete --command invoke --no-files --arguments '(__tritonops_inv)'
