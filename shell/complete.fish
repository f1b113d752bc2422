# Completes kage in fish: asks kage which words fit. Behind `--` the line is the program's own.

function __kage_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l typed (commandline --current-token --cut-at-cursor)
    if set -l at (contains --index -- -- $words)
        set --erase words[1..$at]
        complete --do-complete "$(string join ' ' -- (string escape -- $words) "$typed")"
        return
    end
    set -l lines (KAGE_COMPLETE=(count $words) @kage@ -- $words "$typed" 2>/dev/null)
    set -l before (string match --regex -- '^--[^=]*=' "$typed")
    set -l path (string replace --regex -- '^--[^=]*=' '' "$typed")
    switch "$lines[1]"
        case '*complete files'
            set lines "$before"(__fish_complete_path "$path")
        case '*complete directories'
            set lines "$before"(__fish_complete_directories "$path")
    end
    printf '%s\n' $lines
end

complete --command kage --no-files --keep-order --arguments '(__kage_complete)'
