# kage for bash: each agent of the pool is a function; `command claude` is the agent itself, with its own login.
#@each
function @agent@ {
  if [[ -n ${KAGE_RUN-} ]]; then
    # Inside a run of kage, which has chosen already.
    \command @agent@ "$@"
    return
  fi
  case ${1-} in
    @maintenance@) \command @agent@ "$@" ;;
    *) @kage@ exec -- @agent@ "$@" ;;
  esac
  # bash ends a loop around a function at ^C only where something follows the command.
  return
}
