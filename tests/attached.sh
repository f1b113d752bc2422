#!/usr/bin/env bash
# What kage costs beside an attached agent: its memory and its system calls while the agent idles, and by how
# much later the agent starts, with the credential from each place. Release build.
# The figures count for the machine and the hour they were taken in. Arguments: pairs of starts (50), seconds
# to trace (10).
set -euo pipefail
cd "$(dirname "$0")/.."
pairs=${1:-50} seconds=${2:-10}

target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
cargo build --locked --release
scene=$(mktemp -d)
trap 'rm -rf "$scene"' EXIT
mkdir -p "$scene/bin" "$scene/home/.config/kage" "$scene/home/run"
chmod 700 "$scene/home/run"
cp "$target/release/kage" "$scene/bin/kage"

# An agent that says when its own code began, by the clock that the harness reads before it starts it.
cc -O2 -o "$scene/bin/stamp" -x c - <<'C'
#include <stdio.h>
#include <time.h>
int main(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  printf("%lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
}
C

# One pair after the other, bare and through kage, each of them first in half of the pairs.
cat >"$scene/pairs" <<'PERL'
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
my ($label, $pairs, @words) = @ARGV;
sub delay {
  my $begun = clock_gettime(CLOCK_MONOTONIC);
  open my $said, "-|", @_ or die "could not start @_: $!";
  my $stamp = <$said>;
  close $said or die "@_ failed";
  return $stamp / 1e6 - $begun * 1e3;
}
my (@bare, @kage, @more);
for my $at (-5 .. $pairs - 1) {
  my ($bare, $kage);
  for my $turn (0, 1) {
    if (($at + $turn) % 2) { $bare = delay("stamp") } else { $kage = delay(@words) }
  }
  next if $at < 0; # to warm up
  push @bare, $bare; push @kage, $kage; push @more, $kage - $bare;
}
sub at { my ($share, @all) = @_; @all = sort { $a <=> $b } @all; $all[$share * $#all + 0.5] }
my $more = at(0.5, @more);
printf "%-22s %8.2f %8.2f %10.2f %8.2f  %s\n", $label, at(0.5, @bare), at(0.5, @kage), $more, at(0.9, @more),
  $more < 10 ? "below 10: met" : "below 10: missed";
PERL

inside() {
  env -i HOME="$scene/home" PATH="$scene/bin:/usr/bin:/bin" XDG_RUNTIME_DIR="$scene/home/run" \
    DBUS_SESSION_BUS_ADDRESS="${DBUS_SESSION_BUS_ADDRESS:-}" "$@"
}
start_of() {
  inside perl "$scene/pairs" "$1" "$pairs" kage exec -s "$2" -- stamp
}

inside kage subscription add file --credential file <<<"sk-ant-oat01-invented" 2>/dev/null
cat >>"$scene/home/.config/kage/config.toml" <<'TOML'

[subscriptions.pool.command]
credential = { command = "echo sk-ant-oat01-invented" }
TOML

# One line: what a kage keeps and does whose agent sleeps.
idle_of() {
  # `exec`, so that the process in the background is kage.
  (cd "$scene" && exec env -i HOME="$scene/home" PATH="$scene/bin:/usr/bin:/bin" XDG_RUNTIME_DIR="$scene/home/run" \
    DBUS_SESSION_BUS_ADDRESS="${DBUS_SESSION_BUS_ADDRESS:-}" kage exec -s "$2" -- sleep 600) &
  local kage=$! calls='no strace' memory own verdict
  agent() { cat "/proc/$kage/task/$kage/children" 2>/dev/null; }
  until [ "$(cat "/proc/$(agent | tr -d ' ')/comm" 2>/dev/null)" = sleep ]; do
    kill -0 "$kage" || return 1
    sleep 0.01
  done
  if command -v strace >/dev/null; then
    timeout -s INT "$seconds" strace -f -c -o "$scene/calls" -p "$kage" 2>/dev/null || true
    calls=$(awk '$NF == "total" { print $(NF - 1); some = 1 } END { if (!some) print 0 }' "$scene/calls")
  fi
  memory=$(awk '/^VmRSS/ { print $2 }' "/proc/$kage/status")
  own=$(awk '/^RssAnon/ { print $2 }' "/proc/$kage/status")
  kill "$kage"
  wait "$kage" 2>/dev/null || true
  [ "$memory" -lt 4096 ] && verdict='below 4096: met' || verdict='below 4096: missed'
  printf '%-22s %8s %8s %10s  %s\n' "$1" "$memory" "$own" "$calls" "$verdict"
}

echo "idle for $seconds s: resident memory in kB, of it kage's own, system calls (strace -f -c)"
printf '%-22s %8s %8s %10s\n' credential resident own calls
idle_of 'encrypted file' file
idle_of 'command (sh, echo)' command
echo
echo "start of the agent, ms (medians of $pairs pairs)"
printf '%-22s %8s %8s %10s %8s\n' credential bare kage difference p90
start_of 'encrypted file' file
start_of 'command (sh, echo)' command

if command -v dbus-run-session >/dev/null && command -v gnome-keyring-daemon >/dev/null; then
  export scene pairs seconds
  export -f inside start_of idle_of
  HOME=$scene/home XDG_RUNTIME_DIR=$scene/home/run dbus-run-session -- bash -euo pipefail -c '
    printf invented | inside gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
    inside kage subscription add keychain --credential keychain <<<"sk-ant-oat01-invented" 2>/dev/null
    start_of "keychain (gnome)" keychain
    echo
    idle_of "keychain (gnome)" keychain'
else
  echo 'keychain               not measured: dbus-run-session and gnome-keyring-daemon are missing'
fi
