#!/usr/bin/env bash
# How fast kage relays an agent's JSON lines, beside `cat` in its place. Rounds alternate; the figures count
# for the machine and the hour they were taken in, only their ratio compares.
# Arguments: megabytes a round (500), rounds (11).
set -euo pipefail
cd "$(dirname "$0")/.."
megabytes=${1:-500} rounds=${2:-11}

target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
cargo build --locked --release
kage=$target/release/kage
scene=$(mktemp -d)
trap 'rm -rf "$scene"' EXIT
mkdir "$scene/bin" "$scene/home"

# Prose, and results of tools, of which one in four lines has a word that makes kage look closer.
prose='{"type":"assistant","message":{"id":"msg_1","model":"claude-sonnet-5-5","content":[{"type":"text","text":"The test compares a local time with UTC, which fails twice a year; freeze the clock and it passes, here as well as on the build machine."}]},"session_id":"s"}'
result='{"type":"user","message":{"role":"user","content":[{"tool_use_id":"toolu_1","type":"tool_result","content":"42 passed; 0 failed; 0 ignored; finished in 1.23s, of which 0.4s were spent on waiting for the disk","is_error":false}]},"session_id":"s"}'
printf '%s\n%s\n%s\n%s\n' "$prose" "$prose" "$prose" "$result" >"$scene/four"
while [ "$(stat -c %s "$scene/four")" -lt 50000000 ]; do
  cat "$scene/four" "$scene/four" >"$scene/more" && mv "$scene/more" "$scene/four"
done
copies=$((megabytes * 1000000 / $(stat -c %s "$scene/four")))
cat >"$scene/bin/claude" <<AGENT
#!/bin/sh
i=0
while [ \$i -lt $copies ]; do cat "$scene/four"; i=\$((i + 1)); done
AGENT
chmod +x "$scene/bin/claude"

inside() { env -i HOME="$scene/home" PATH="$scene/bin:/usr/bin:/bin" "$@"; }
inside "$kage" subscription add work --credential file <<<"sk-ant-oat01-invented" 2>/dev/null

milliseconds() {
  local begun
  begun=$(date +%s%N)
  "$@" | cat >/dev/null
  echo $((($(date +%s%N) - begun) / 1000000))
}
through_cat() { "$scene/bin/claude" | cat; }
through_kage() { inside "$kage" exec -- claude -p --output-format stream-json hi </dev/null; }
median() { sort -n | sed -n "$(((rounds + 1) / 2))p"; }

for ((i = 0; i < rounds; i++)); do
  milliseconds through_cat >>"$scene/cat"
  milliseconds through_kage >>"$scene/kage"
done
cat=$(median <"$scene/cat") relayed=$(median <"$scene/kage")
echo "cat $cat ms, kage $relayed ms for $megabytes MB: $((cat * 100 / relayed)) % of cat's throughput (median of $rounds)"
