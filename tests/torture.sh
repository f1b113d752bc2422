#!/usr/bin/env bash
# Tries to break kage. Prints a line for each class of failure: how often it was tried, and what was lost.
#
#   bash tests/torture.sh [seconds] [--only CLASS]
#
# SEED=n repeats a run, KAGE=/path tests another build. The first run builds an older version of kage from the history,
# to run both versions on one state at the same time. Exit status 1 if anything was lost.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

# The last commit that writes the previous version of the state.
before=061af8f
only='' seconds=120
while [ $# -gt 0 ]; do
  case $1 in
    --only) only=${2:?--only needs the name of a class} && shift ;;
    *[!0-9]* | '') echo "usage: bash tests/torture.sh [seconds] [--only CLASS]" >&2 && exit 2 ;;
    *) seconds=$1 ;;
  esac
  shift
done

# Builds the older version from an archive in its own directory, so the working tree is not touched.
build_before() {
  local dir=$root/target/torture/$before
  if [ ! -x "$dir/kage" ]; then
    git cat-file -e "$before^{commit}" 2>/dev/null || return 0
    echo "building kage as of $before" >&2
    mkdir -p "$dir/source"
    git archive "$before" | tar -x -C "$dir/source"
    cargo build --locked --quiet --manifest-path "$dir/source/Cargo.toml" --target-dir "$dir/build"
    cp "$dir/build/debug/kage" "$dir/kage"
    rm -rf "$dir/source" "$dir/build"
  fi
  echo "$dir/kage"
}

earlier=''
case $only in '' | versions) earlier=$(build_before) ;; esac
run=()
# The caller may ignore signals that the tests send: a background job ignores SIGINT.
if env --default-signal true 2>/dev/null; then run=(env --default-signal); fi
export TORTURE_SECONDS=$seconds TORTURE_ONLY=$only TORTURE_BEFORE=$earlier
"${run[@]}" cargo test --locked --quiet --test torture
