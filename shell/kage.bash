# kage for bash: each agent of the pool is a function; `command claude` is the agent itself, with its own login.

function __kage {
  if [[ -n ${KAGE_RUN-} ]]; then
    # Inside a run of kage, which has chosen already.
    \command "$@"
  else
    @kage@ exec -- "$@"
    # bash ends a loop around a function at ^C only where something follows the command.
    return
  fi
}
#@each
function @agent@ {
  case ${1-} in
    @upkeep@) \command @agent@ "$@" ;;
    *) __kage @agent@ "$@" ;;
  esac
}
