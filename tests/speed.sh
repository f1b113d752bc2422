#!/usr/bin/env bash
# What kage adds to the start of an agent, beside `env true` and, where it is installed, `mise exec`. Both
# builds of the README are measured, the static one where the C library can be linked statically.
# Arguments are other kages to measure in the same run: bash tests/speed.sh /path/to/kage-before
# The figures count for the machine and the hour they were taken in; only ratios of one run compare.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
host=$(rustc -vV | sed -n 's/^host: //p')
others=("$@")

cargo build --locked --release
if [[ $host == *-linux-gnu ]] && echo 'int main(void) { return 0; }' | cc -static -x c -o "$target/static-probe" - 2>/dev/null; then
  RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --target "$host" --target-dir "$target/static"
  others+=("$target/static/$host/release/kage")
fi

# The harness itself needs no optimising: it spawns and waits.
KAGE=$target/release/kage cargo bench --locked --profile dev --bench start -- "${others[@]}"
