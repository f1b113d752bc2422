#!/usr/bin/env bash
# Measures queries of a large ledger: bash tests/ledger.sh [ATTEMPTS...]. Default: one million and ten million attempts
# over twelve months. Each time is the median of up to five runs of the whole program, memory is their highest.
# If ccusage is installed (bash tests/run.sh does that), it is measured on a million answers in transcripts.
# Needs GNU time and perl; ten million attempts take 4.5 GB in the temporary directory.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
cargo build --locked --release --quiet
kage=$target/release/kage
ccusage=target/agents/node_modules/.bin/ccusage
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME=$dir/home TZ=UTC
mkdir "$HOME"

# Prints the median time and the peak memory of a command: measure RUNS COMMAND...
measure() {
  local runs=$1
  shift
  for _ in $(seq "$runs"); do
    local begun=$EPOCHREALTIME
    command time -f %M -o "$dir/memory" -- "$@" >/dev/null
    local ended=$EPOCHREALTIME
    echo "$(((${ended/./} - ${begun/./}) / 100)) $(cat "$dir/memory")"
  done | sort -n | awk '{ times[NR] = $1; if ($2 > most) most = $2 }
    END { printf "%9.1f ms %8.1f MB\n", times[int((NR + 1) / 2)] / 10, most / 1024 }'
}

row() {
  printf '%-44s %s\n' "$1" "$2"
}

for attempts in "${@:-1000000 10000000}"; do
  for number in $attempts; do
    rm -rf "$dir/state" && mkdir -p "$dir/state/usage"
    export KAGE_STATE_DIR=$dir/state
    perl tests/ledger.pl "$number" "$dir/state/usage"
    echo "$number attempts over 12 months, $(du -sh "$dir/state/usage" | cut -f1)"
    row 'usage --rebuild --period all' "$(measure 1 "$kage" usage --rebuild --period all --json)"
    row 'usage --period month' "$(measure 5 "$kage" usage --period month --json)"
    row 'usage --period all --by subscription' "$(measure 5 "$kage" usage --period all --by subscription --json)"
    row 'usage --period all --by day,model' "$(measure 5 "$kage" usage --period all --by day,model --json)"
    row 'usage --period all --by project, first' "$(measure 1 "$kage" usage --period all --by project --json)"
    row 'usage --period all --by project' "$(measure 5 "$kage" usage --period all --by project --json)"
    row 'usage --period today --by hour' "$(measure 5 "$kage" usage --period today --by hour --json)"
    row 'env true' "$(measure 5 env true)"
    echo
  done
done

if [ -x "$ccusage" ]; then
  rm -rf "$dir/state" && mkdir -p "$dir/ledger" "$dir/claude/projects"
  perl tests/ledger.pl 1000000 "$dir/ledger" "$dir/claude/projects"
  echo "1000000 answers in transcripts, $(du -sh "$dir/claude" | cut -f1)"
  row 'ccusage claude monthly --offline' \
    "$(CLAUDE_CONFIG_DIR=$dir/claude measure 3 "$ccusage" claude monthly --json --offline)"
fi
