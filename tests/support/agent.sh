#!/bin/sh
# A stand-in for Claude Code's print mode. The text after the last `--` of its token selects its behavior:
#   ok, five, seven, opus, throttled, overloaded, network, timeout, auth, organisation, billing: how it ends;
#   soon: a limit that resets after two seconds; long: over a megabyte of output, then a limit;
#   slow: waits for a signal; startup: refuses its arguments; failed: answers and exits with 1;
#   interrupted: is ended by a signal; work+X: does some work first; once.X: X at the first call, then ok.
# It writes the same transcript as the real agent (not with --no-session-persistence), appends each call to
# $HOME/calls and each piece of work to $HOME/work.

behavior=${CLAUDE_CODE_OAUTH_TOKEN##*--}
format=text session='' prompt='' resumed=no model='' persist=yes
arguments=$*
while [ $# -gt 0 ]; do
  case $1 in
    --output-format) format=$2 && shift ;;
    --session-id) session=$2 && shift ;;
    --resume) session=$2 resumed=yes && shift ;;
    --model) model=$2 && shift ;;
    --settings | --input-format) shift ;;
    --no-session-persistence) persist=no ;;
    -*) ;;
    *) prompt="$prompt$1" ;;
  esac
  shift
done

input=''
if [ ! -t 0 ]; then input=$(cksum); fi
count=$(cat "$HOME/count-$KAGE_SUBSCRIPTION" 2>/dev/null || echo 0)
count=$((count + 1))
echo $count >"$HOME/count-$KAGE_SUBSCRIPTION"
echo "$KAGE_SUBSCRIPTION|resumed=$resumed|prompt=$prompt|input=$input|model=$model|retries=$CLAUDE_CODE_MAX_RETRIES" >>"$HOME/calls"
echo "$arguments" >>"$HOME/arguments"

case $behavior in
  once.*)
    if [ $count = 1 ]; then behavior=${behavior#once.}; else behavior=ok; fi
    ;;
esac
works=no turns=1
case $behavior in work+*) works=yes turns=2 behavior=${behavior#work+} ;; esac

now=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
reset=$(($(date +%s) / 3600 * 3600 + 10800))
week=$((reset + 300000))
transcript=$HOME/.claude/projects/$(pwd | sed 's/[^A-Za-z0-9]/-/g')/$session.jsonl
quote() { printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g'; }
record() {
  if [ $persist = no ]; then return; fi
  mkdir -p "${transcript%/*}"
  printf '%s\n' "$1" >>"$transcript"
}
line() { if [ "$format" = stream-json ]; then printf '%s\n' "$1"; fi; }

answer() {
  id=$KAGE_SUBSCRIPTION-$count-$1
  record "{\"type\":\"assistant\",\"timestamp\":\"$now\",\"requestId\":\"req-$id\",\"isSidechain\":false,\"message\":{\"id\":\"msg-$id\",\"model\":\"claude-sonnet-5-5\",\"content\":[{\"type\":\"text\",\"text\":\"$2\"}],\"usage\":{\"input_tokens\":12,\"output_tokens\":34}}}"
  line "{\"type\":\"assistant\",\"message\":{\"id\":\"msg-$id\",\"model\":\"claude-sonnet-5-5\",\"content\":[{\"type\":\"text\",\"text\":\"$2\"}]},\"session_id\":\"$session\"}"
}

result() { # is_error, text, further keys
  case $format in
    text) printf '%s\n' "$2" ;;
    *) printf '%s\n' "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":$1,\"num_turns\":$turns,\"result\":\"$(quote "$2")\",\"session_id\":\"$session\"$3}" ;;
  esac
}

refuse() { # class, status, further keys of the row, further keys of the event, text
  text=$(quote "$5")
  record "{\"type\":\"assistant\",\"timestamp\":\"$now\",\"isSidechain\":false,\"isApiErrorMessage\":true,\"error\":\"$1\",\"apiErrorStatus\":$2$3,\"message\":{\"id\":\"x\",\"model\":\"<synthetic>\",\"content\":[{\"type\":\"text\",\"text\":\"$text\"}],\"usage\":{\"input_tokens\":0}}}"
  line "{\"type\":\"assistant\",\"is_api_error_message\":true,\"error\":\"$1\",\"api_error_status\":$2$4,\"message\":{\"model\":\"<synthetic>\",\"content\":[{\"type\":\"text\",\"text\":\"$text\"}]},\"session_id\":\"$session\"}"
  result true "$5" ",\"api_error_status\":$2$4"
  exit 1
}

limit() { # window, its end, text
  line "{\"type\":\"rate_limit_event\",\"rate_limit_info\":{\"status\":\"rejected\",\"resetsAt\":$2,\"rateLimitType\":\"$1\",\"isUsingOverage\":false,\"unifiedWindows\":{\"five_hour\":{\"utilization\":1,\"resetsAt\":$2},\"seven_day\":{\"utilization\":0.17,\"resetsAt\":$week}}},\"session_id\":\"$session\"}"
  refuse rate_limit 429 ",\"apiError\":\"usage_limit_reached\",\"quotaLimits\":{\"status\":\"rejected\",\"resetsAt\":$2,\"rateLimitType\":\"$1\",\"isUsingOverage\":false}" ",\"api_error\":\"usage_limit_reached\"" "$3"
}

if [ "$behavior" = startup ]; then
  echo "Error: Session ID $session is already in use." >&2
  exit 1
fi
record "{\"type\":\"user\",\"timestamp\":\"$now\",\"message\":{\"role\":\"user\",\"content\":\"$(quote "$prompt")\"}}"
line "{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"$session\",\"model\":\"claude-sonnet-5-5\"}"
if [ $works = yes ]; then
  echo "$KAGE_SUBSCRIPTION" >>"$HOME/work"
  answer work "I run the tests."
fi

case $behavior in
  ok)
    answer end "Answer of $KAGE_SUBSCRIPTION."
    result false "Answer of $KAGE_SUBSCRIPTION." ",\"usage\":{\"output_tokens\":34}"
    ;;
  failed)
    answer end "You've hit your 5-hour limit · resets 1pm (UTC), says the log."
    echo "Error: Reached max turns (1)"
    exit 1
    ;;
  interrupted) kill -TERM $$ ;;
  slow)
    trap 'limit five_hour $reset "You have hit your limit"' TERM
    touch "$HOME/slow"
    while :; do sleep 0.05; done
    ;;
  long)
    head -c 1200000 /dev/zero | tr '\0' x
    echo
    limit five_hour $reset "You've hit your 5-hour limit · resets 1pm (UTC)"
    ;;
  five) limit five_hour $reset "You've hit your 5-hour limit · resets 1pm (UTC)" ;;
  soon) limit five_hour $(($(date +%s) + 2)) "You've hit your 5-hour limit · resets 1pm (UTC)" ;;
  seven) limit seven_day $week "You've hit your weekly limit · resets Nov 25, 10am (UTC)" ;;
  opus) limit seven_day_opus $week "You've hit your Opus limit · resets Nov 25, 10am (UTC)" ;;
  throttled) refuse rate_limit 429 '' '' "API Error: Request rejected (429) · slow down" ;;
  overloaded) refuse server_error 529 '' '' "API Error: 529 Overloaded. This is a server-side issue." ;;
  network) refuse unknown null '' ',"api_error":"connection_failed"' "API Error: Connection refused (ECONNREFUSED)" ;;
  timeout) refuse unknown null '' '' "Request timed out. If the API is slow to answer, wait." ;;
  auth) refuse authentication_failed 401 '' '' "Failed to authenticate. API Error: 401 OAuth token has expired." ;;
  organisation) refuse oauth_org_not_allowed 403 '' '' "Your organization has disabled Claude subscription access for Claude Code" ;;
  billing) refuse billing_error 400 '' '' "Credit balance is too low" ;;
esac
