# kage for fish: each agent of the pool is a function; `command claude` is the agent itself, with its own login.
#@each
function @agent@
    if set -q KAGE_RUN; and test -n "$KAGE_RUN"
        # Inside a run of kage, which has chosen already.
        command @agent@ $argv
    else if contains -- "$argv[1]" @maintenance@
        command @agent@ $argv
    else
        @kage@ exec -- @agent@ $argv
    end
end
