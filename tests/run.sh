#!/usr/bin/env bash
# Installs the programs that the test suites need, where it can, and runs all suites.
# With CI=true a missing program fails the run. Otherwise the suites that need it are skipped and named.
set -euo pipefail
cd "$(dirname "$0")/.."

# The last one is not an agent: it counts the tokens in Claude Code's transcripts.
agents=(@anthropic-ai/claude-code@2.1.332 @openai/codex@0.171.0 @google/gemini-cli@0.61.0 ccusage@20.0.24)
prefix=target/agents
# Debian packages, each with a program or file that shows whether it is installed.
packages=(
  bash=bash chromium=chromium cron=/usr/sbin/cron dbus=dbus-run-session direnv=direnv elvish=elvish fish=fish git=git
  gnome-keyring=gnome-keyring-daemon groff=groff iproute2=ip libsecret-tools=secret-tool make=make man-db=man
  nodejs=node npm=npm perl-base=perl procps=pgrep shellcheck=shellcheck shfmt=shfmt strace=strace
  systemd=systemd-analyze tmux=tmux tmux-plugin-manager=/usr/share/tmux-plugin-manager/tpm util-linux=unshare
  valgrind=valgrind zsh=zsh
)
missing=()

absent() {
  ! command -v "$1" >/dev/null 2>&1
}

install_packages() {
  local package wanted=()
  for package in "${packages[@]}"; do
    if absent "${package#*=}"; then wanted+=("${package%%=*}"); fi
  done
  [ ${#wanted[@]} -gt 0 ] || return 0
  if [ "$(id -u)" = 0 ] && ! absent apt-get; then
    echo "installing ${wanted[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null || true
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${wanted[@]}" >/dev/null || true
  fi
  for package in "${packages[@]}"; do
    if absent "${package#*=}"; then missing+=("${package%%=*}"); fi
  done
}

is_installed() {
  grep -qs "\"version\": \"${1##*@}\"" "$prefix/node_modules/${1%@*}/package.json"
}

# Installs the real agents. Claude Code is a native binary inside an npm package; the others run under Node.js.
install_agents() {
  local agent wanted=()
  for agent in "${agents[@]}"; do
    if ! is_installed "$agent"; then wanted+=("$agent"); fi
  done
  [ ${#wanted[@]} -gt 0 ] || return 0
  if ! absent npm; then
    echo "installing ${wanted[*]}"
    npm install --silent --no-fund --no-audit --prefix "$prefix" "${wanted[@]}" >/dev/null 2>&1 || true
  fi
  for agent in "${wanted[@]}"; do
    is_installed "$agent" || missing+=("$agent")
  done
}

install_packages
mkdir -p target
install_agents

if [ ${#missing[@]} -gt 0 ]; then
  echo "could not install: ${missing[*]}" >&2
  if [ "${CI:-}" = true ]; then exit 1; fi
  echo "the suites that need them are skipped" >&2
fi

# The caller may ignore signals that the suites send: a background job ignores SIGINT.
run=()
if env --default-signal true 2>/dev/null; then run=(env --default-signal); fi
"${run[@]}" cargo test --locked "$@"
# Runs the fuzz corpus, which needs no fuzzer. It is a separate package; its dependencies are already built.
if [ $# = 0 ]; then
  cargo test --locked --manifest-path fuzz/Cargo.toml --no-default-features --target-dir target
fi
