#!/usr/bin/env bash
# Fuzzes what kage reads and writes: bash tests/fuzz.sh [cpu-minutes] [target...]. Default: 10 minutes for each target.
# Needs a nightly compiler and cargo-fuzz. Prints one line per target. Exit status 1 if any target crashed.
set -euo pipefail
cd "$(dirname "$0")/.."

# CPU time, not wall time: the same number of minutes is the same amount of work even on a busy machine.
minutes=10
case ${1:-} in
  [0-9]*)
    minutes=$1
    shift
    ;;
esac
[ $# -gt 0 ] || set -- config dbus ledger markers quoting report reset state stream transcript
# Memory in megabytes. `longest` is in bytes: no agent writes longer records than that.
memory=2048
longest=4096
triple=$(rustc -vV | sed -n 's/^host: //p')
built=${CARGO_TARGET_DIR:-fuzz/target}/$triple/release

# Fuzzes one target and prints the CPU seconds used, as counted by the shell.
fuzz() {
  local target=$1 seconds=$2 log=$3 options=()
  [ ! -e "fuzz/dict/$target.dict" ] || options=(-dict="fuzz/dict/$target.dict")
  local TIMEFORMAT='cpu %U %S'
  { time "$built/$target" "$found" "fuzz/corpus/$target" -artifact_prefix="$broken/" -max_total_time="$seconds" \
    -rss_limit_mb="$memory" -max_len="$longest" -timeout=20 -print_final_stats=1 "${options[@]}" >"$log" 2>&1; } 2>&1
}

failed=0
# No sanitizer: kage has almost no unsafe code, and without one there are twice as many runs.
cargo +nightly fuzz build --sanitizer none 2>fuzz/build.log || {
  cat fuzz/build.log >&2
  exit 1
}
for target in "$@"; do
  # New inputs are not added to the corpus, which stays small.
  found=fuzz/found/$target broken=fuzz/artifacts/$target log=fuzz/artifacts/$target.log
  mkdir -p "$found" "$broken"
  used=0 runs=0 crashes=0
  while awk "BEGIN { exit !($used < $minutes * 60) }"; do
    # Each start reads the whole corpus first, so a start gets at least 20 seconds.
    left=$(awk "BEGIN { left = int($minutes * 60 - $used) + 1; print left < 20 ? 20 : left }")
    status=0
    spent=$(fuzz "$target" "$left" "$log") || status=$?
    used=$(awk "BEGIN { split(\"$spent\", part, \" \"); printf \"%.1f\", $used + part[2] + part[3] }")
    count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    runs=$((runs + ${count:-0}))
    if [ "$status" != 0 ]; then
      crashes=$((crashes + 1)) failed=1
      cp "$log" "fuzz/artifacts/$target.crash.log"
      break
    fi
  done
  coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
  printf '%-10s %10d runs %7s CPU seconds %6s edges %d crashes\n' "$target" "$runs" "$used" "${coverage:-0}" "$crashes"
  [ "$crashes" = 0 ] || ls "$broken"
done
exit $failed
