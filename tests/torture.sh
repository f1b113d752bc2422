#!/usr/bin/env bash
# Tries to break kage, and prints a line for each way in which things go wrong: how often, and what was lost.
#
#   bash tests/torture.sh [seconds] [--only CLASS]
#
# SEED=n repeats a run, KAGE=/path tries another build. The first run builds the version of kage before this one, from
# the history, for two of them at once on one state. Exit status 1 where anything was lost.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

# The last one whose state has the form before.
before=061af8f
only='' seconds=120
while [ $# -gt 0 ]; do
  case $1 in
    --only) only=${2:?--only wants the name of a class} && shift ;;
    *[!0-9]* | '') echo "usage: bash tests/torture.sh [seconds] [--only CLASS]" >&2 && exit 2 ;;
    *) seconds=$1 ;;
  esac
  shift
done

# Built without touching what is checked out: from an archive, into a directory of its own.
build_before() {
  local place=$root/target/torture/$before
  if [ ! -x "$place/kage" ]; then
    git cat-file -e "$before^{commit}" 2>/dev/null || return 0
    echo "building kage as of $before" >&2
    mkdir -p "$place/source"
    git archive "$before" | tar -x -C "$place/source"
    cargo build --locked --quiet --manifest-path "$place/source/Cargo.toml" --target-dir "$place/build"
    cp "$place/build/debug/kage" "$place/kage"
    rm -rf "$place/source" "$place/build"
  fi
  echo "$place/kage"
}

earlier=''
case $only in '' | versions) earlier=$(build_before) ;; esac
run=()
# Whoever starts this may ignore signals that are sent here: a background job ignores SIGINT.
if env --default-signal true 2>/dev/null; then run=(env --default-signal); fi
export TORTURE_SECONDS=$seconds TORTURE_ONLY=$only TORTURE_BEFORE=$earlier
"${run[@]}" cargo test --locked --quiet --test torture
