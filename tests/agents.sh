#!/usr/bin/env bash
# Measures another version of an agent: prints how its help differs from the pinned version's, and which of
# the tests with the real agent fail.
#
#     bash tests/agents.sh claude@2.1.340
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  echo "usage: tests/agents.sh NAME@VERSION (NAME: claude, codex or gemini)" >&2
  exit 2
}

[ $# = 1 ] || usage
name=${1%@*} version=${1##*@}
case $1 in
*@*) ;;
*) usage ;;
esac
case $name in
claude) package=@anthropic-ai/claude-code ;;
codex) package=@openai/codex ;;
gemini) package=@google/gemini-cli ;;
*) usage ;;
esac

pinned=$PWD/target/agents/node_modules/.bin/$name
if ! [ -x "$pinned" ]; then
  echo "the pinned version is not installed; run: bash tests/run.sh --no-run" >&2
  exit 1
fi
prefix=$PWD/target/agents-measured/$name-$version
echo "installing $package@$version"
npm install --silent --no-fund --no-audit --prefix "$prefix" "$package@$version"
bin=$prefix/node_modules/.bin

# Runs an agent without a network and with an empty home.
alone() {
  local home answer=0
  home=$(mktemp -d)
  env -i PATH="$PATH" HOME="$home" TERM=dumb unshare --map-root-user --net -- timeout 60 "$@" 2>/dev/null || answer=$?
  rm -rf "$home"
  return "$answer"
}

echo
echo "== $name --version: $(alone "$pinned" --version) (pinned), $(alone "$bin/$name" --version)"
commands=("" exec)
if [ "$name" != codex ]; then commands=(""); fi
for command in "${commands[@]}"; do
  words=(--help)
  if [ -n "$command" ]; then words=("$command" --help); fi
  echo
  echo "== $name ${words[*]}"
  diff -U0 <(alone "$pinned" "${words[@]}") <(alone "$bin/$name" "${words[@]}") | sed 1,2d || true
done

echo
echo "== tests with $name $version"
log=$(mktemp)
status=0
KAGE_TEST_AGENTS=$bin CI=true cargo test --locked --test agents "$name::" >"$log" 2>&1 || status=$?
grep -E '^test .* FAILED$|^test result' "$log" || tail -n 20 "$log"
if [ "$status" != 0 ]; then
  echo "the whole output: $log"
  exit 1
fi
rm -f "$log"
