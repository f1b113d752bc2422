# Completes kage in fish: asks kage which words fit. After `--`, the completion of the program applies.

function __kage_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    if set -l at (contains --index -- -- $words)
        set -l typed (commandline --current-token --cut-at-cursor)
        set --erase words[1..$at]
        complete --do-complete "$(string join ' ' -- (string escape -- $words) "$typed")"
    else
        __kage_ask $words | string match --invert --regex '^[^\t]*complete (files|directories)$'
    end
end

function __kage_wants_files
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    not contains -- -- $words
    and __kage_ask $words | string match --quiet --regex '^[^\t]*complete (files|directories)$'
end

# Prints the answer of kage for these words and the word at the cursor, which may have an open quote.
function __kage_ask
    set -l typed (commandline --current-token --cut-at-cursor)
    set typed (string unescape -- "$typed" "$typed\"" "$typed'")
    KAGE_COMPLETE=(count $argv) @kage@ -- $argv "$typed[1]" 2>/dev/null
end

complete --command kage --no-files --keep-order --arguments '(__kage_complete)'
# fish completes paths, because it handles quotes, `~` and variables.
complete --command kage --condition __kage_wants_files --force-files
