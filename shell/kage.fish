# kage for fish: a function for each agent of the pool. `command claude` runs the agent with its own login.
#@each
function @agent@
    if set -q KAGE_RUN; and test -n "$KAGE_RUN"
        # Inside a run of kage, which has already chosen a subscription.
        command @agent@ $argv
    else if contains -- "$argv[1]" @maintenance@
        command @agent@ $argv
    else
        @kage@ exec -- @agent@ $argv
    end
end
