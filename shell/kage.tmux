#!/bin/sh
# kage for tmux: a segment of the status line, a part of the pane borders, and a popup. It can run repeatedly:
# existing settings are kept.
set -u

# A word for a shell's command line.
kage=@kage@

# tmux inserts the value of an option literally, so it does not interpret the path.
segment='#(#{@kage_status_command}#{?@kage_subscription, -s #{q:@kage_subscription},})'
border='#{?@kage_subscription, #{@kage_subscription}#{?@kage_namespace, #{@kage_namespace},} #{@kage_status},}'

option() {
  tmux show-option -gqv "$1"
}

# A `;` at the end of an argument would end tmux's command.
change() {
  case $3 in
    *\;) tmux set-option "$1" "$2" "${3%;}\;" ;;
    *) tmux set-option "$1" "$2" "$3" ;;
  esac
}

# Replaces each `#{kage}` in a text with the segment.
filled() {
  rest=$1
  done=
  while :; do
    case $rest in
      *'#{kage}'*) ;;
      *) break ;;
    esac
    done=$done${rest%%'#{kage}'*}$segment
    rest=${rest#*'#{kage}'}
  done
  printf '%s' "$done$rest"
}

tmux set-option -g @kage_status_command "$kage status --format tmux"
left=$(option status-left)
right=$(option status-right)
case $left$right in
  *'#{kage}'*)
    change -g status-left "$(filled "$left")"
    change -g status-right "$(filled "$right")"
    ;;
  *@kage_status_command*) ;;
  *)
    change -g status-right "$right $segment"
    # The existing content must not be cut off.
    length=$(option status-right-length)
    if [ "$length" != "$(option @kage_status_right_length)" ]; then
      tmux set-option -g status-right-length $((length + 32))
      tmux set-option -g @kage_status_right_length $((length + 32))
    fi
    ;;
esac

# A border takes a line of each pane, so by default only borders that are already shown get kage's part.
wanted=$(option @kage_pane_border)
shown=$(tmux show-option -gwqv pane-border-status)
case $wanted,$shown in
  off,* | ,off | *,) ;;
  *)
    format=$(tmux show-option -gwqv pane-border-format)
    case $format in
      *@kage_*) ;;
      *) change -gw pane-border-format "$format$border" ;;
    esac
    if [ "$shown" = off ]; then
      tmux set-option -gw pane-border-status top
    fi
    ;;
esac

# tmux 3.2 added popups.
key=$(option @kage_popup_key)
key=${key:-u}
if [ "$key" != none ] && [ -n "$(tmux list-commands display-popup 2>/dev/null)" ] &&
  [ -z "$(tmux list-keys -T prefix "$key" 2>/dev/null)" ]; then
  tmux bind-key "$key" display-popup -E -w 60 -h 15 "$kage status --watch"
fi
