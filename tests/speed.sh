#!/usr/bin/env bash
# What kage adds to the start of an agent, beside `env true` and, where it is installed, `mise exec`.
# Arguments are other kages to measure in the same run: bash tests/speed.sh /path/to/kage-before
# The figures count for the machine and the hour they were taken in; only ratios of one run compare.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --release
KAGE=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/kage
export KAGE
# The harness itself needs no optimising: it spawns and waits.
cargo bench --locked --profile dev --bench start -- "$@"
