# kage for zsh: a function for each agent of the pool. `command claude` runs the agent with its own login.
#@each
function @agent@ {
  if [[ -n ${KAGE_RUN-} ]]; then
    # Inside a run of kage, which has already chosen a subscription.
    \command @agent@ "$@"
    return
  fi
  case ${1-} in
    @maintenance@) \command @agent@ "$@" ;;
    *) @kage@ exec -- @agent@ "$@" ;;
  esac
}
