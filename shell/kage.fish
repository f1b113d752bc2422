# kage for fish: each agent of the pool is a function; `command claude` is the agent itself, with its own login.

function __kage
    if set -q KAGE_RUN; and test -n "$KAGE_RUN"
        # Inside a run of kage, which has chosen already.
        command $argv
    else
        @kage@ exec -- $argv
    end
end
#@each
function @agent@
    if contains -- "$argv[1]" @upkeep@
        command @agent@ $argv
    else
        __kage @agent@ $argv
    end
end
