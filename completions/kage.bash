# Completes kage in bash: asks kage which words fit. After `--`, the completion of the program applies.

_kage() {
  local rest=$COMP_LINE part value tail prefix i words=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${COMP_WORDS[i]} == -- ]]; then
      _kage_program $((i + 1))
      return 0
    fi
  done

  # Readline splits words at `:` and `=`, kage only at spaces and tabs.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    part=${COMP_WORDS[i]}
    if ((i == 0)) || [[ $rest == [[:blank:]]* ]]; then
      words+=("$part")
      rest=${rest#"${rest%%[![:blank:]]*}"}
    else
      words[${#words[@]} - 1]+=$part
    fi
    rest=${rest#"$part"}
  done
  i=$((${#words[@]} - 1))
  tail=$((${#COMP_LINE} - COMP_POINT - ${#rest}))
  if ((tail > 0)); then words[i]=${words[i]:0:${#words[i]}-tail}; fi
  # Readline replaces only the text after the last split or an open quote; it does not split inside quotes.
  case ${COMP_WORDS[COMP_CWORD]} in
    [\'\"]*) prefix=${words[i]%%[\'\"]*} ;;
    *) prefix=${words[i]%"${words[i]##*[:=]}"} ;;
  esac
  words=("${words[@]//[\'\"]/}")

  while IFS=$'\t' read -r value _; do
    case $value in
      *'complete files') compopt -o default 2>/dev/null || COMPREPLY+=(./) ;;
      *'complete directories') compopt -o dirnames 2>/dev/null || COMPREPLY+=(./) ;;
      *[!A-Za-z0-9_.,:=@%/+~-]*) printf -v value %q "$value" && COMPREPLY+=("${value#"$prefix"}") ;;
      *) COMPREPLY+=("${value#"$prefix"}") ;;
    esac
  done < <(KAGE_COMPLETE=$i kage -- "${words[@]}" 2>/dev/null)
  if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[:=/] ]]; then
    compopt -o nospace 2>/dev/null || true
  fi
  return 0
}

# Completes the part of the line from the given word on as a command.
_kage_program() {
  if declare -F _command_offset >/dev/null; then
    _command_offset "$1" || true
  elif ((COMP_CWORD == $1)); then
    while IFS= read -r part; do COMPREPLY+=("$part"); done < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
  else
    compopt -o default 2>/dev/null || true
  fi
}

complete -F _kage kage
