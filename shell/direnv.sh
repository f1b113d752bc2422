# kage for direnv: `use kage NAMESPACE [LEVEL]` in an .envrc sets the namespace and level of the runs below it.

# shellcheck shell=bash
use_kage() {
  local namespace=${1-} level=${2-} rest
  rest=${namespace//[._-]/}
  if [[ -z $namespace || $# -gt 2 ]]; then
    log_error 'use kage: expected a namespace and optionally a level, for example: use kage backend batch'
    return 1
  fi
  if [[ $namespace == -* || $rest == *[[:space:][:punct:][:cntrl:]]* ]]; then
    log_error "use kage: '$namespace' is not a valid namespace (letters, digits, '.', '_', '-')"
    return 1
  fi
  case $namespace in
    high | normal | batch)
      log_error "use kage: '$namespace' is a level; the namespace comes first: use kage backend $namespace"
      return 1
      ;;
  esac
  case $level in
    '' | high | normal | batch) ;;
    *)
      log_error "use kage: '$level' is not a level (high, normal or batch)"
      return 1
      ;;
  esac
  # A second `use kage`, after source_up, replaces the namespace and the level of the first.
  if [[ -z ${__kage_level_before+set} ]]; then
    __kage_level_before=${KAGE_PRIORITY-}
  fi
  export KAGE_NAMESPACE=$namespace
  export KAGE_PRIORITY=${level:-$__kage_level_before}
  if [[ -z $KAGE_PRIORITY ]]; then
    unset KAGE_PRIORITY
  fi
}
