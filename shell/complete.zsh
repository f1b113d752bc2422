#compdef kage
# Completes kage in zsh: asks kage which words fit. After `--`, the completion of the program applies.

_kage() {
  local -i at=${words[(i)--]}
  if (( at < CURRENT )); then
    words=("${(@)words[at + 1, -1]}")
    (( CURRENT -= at ))
    _normal
    return
  fi

  local line word
  local -a typed closed open
  typed=("${(@Q)words[1, CURRENT - 1]}" "${(Q)IPREFIX}${(Q)PREFIX}")
  for line in "${(@f)$(KAGE_COMPLETE=$(( CURRENT - 1 )) @kage@ -- "${(@)typed}" 2>/dev/null)}"; do
    word=${line%%$'\t'*}
    case $word in
      '') continue ;;
      *'complete files') compset -P '*='; _files; return ;;
      *'complete directories') compset -P '*='; _files -/; return ;;
    esac
    line=${${line#"$word"}#$'\t'}
    # No space follows a word that can be continued.
    case $word in
      *[:=/]) open+=("${${word//\\/\\\\}//:/\\:}${line:+:$line}") ;;
      *) closed+=("${${word//\\/\\\\}//:/\\:}${line:+:$line}") ;;
    esac
  done
  local -i found=1
  if (( $#closed )); then _describe -V kage closed && found=0; fi
  if (( $#open )); then _describe -V kage open -S '' && found=0; fi
  return found
}

# If `autoload` reads it as the file `_kage` in `fpath`, this file is the body of the function.
if [[ ${funcstack[1]-} == _kage ]]; then
  _kage "$@"
elif (( ${+functions[compdef]} )); then
  compdef _kage kage
fi
