#!/usr/bin/env bash
# Installs what the suites need, where it can, and runs all of them.
# Under CI=true whatever is missing fails the run; elsewhere the suite that needs it is skipped and named.
set -euo pipefail
cd "$(dirname "$0")/.."

agent=@anthropic-ai/claude-code@2.1.330
agents=target/agents
claude=$agents/node_modules/.bin/claude
packages=(bash dbus gnome-keyring iproute2 libsecret-tools npm procps util-linux)
programs=(bash dbus-run-session gnome-keyring-daemon ip secret-tool npm pgrep unshare)
missing=()

absent() {
  ! command -v "$1" >/dev/null 2>&1
}

install_packages() {
  local program wanted=()
  for i in "${!programs[@]}"; do
    program=${programs[$i]}
    if absent "$program"; then wanted+=("${packages[$i]}"); fi
  done
  [ ${#wanted[@]} -gt 0 ] || return 0
  if [ "$(id -u)" = 0 ] && ! absent apt-get; then
    echo "installing ${wanted[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null || true
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${wanted[@]}" >/dev/null || true
  fi
  for program in "${programs[@]}"; do
    if absent "$program"; then missing+=("$program"); fi
  done
}

# The real agent. It is a native binary inside an npm package and needs no Node.js to run.
install_agent() {
  local known=$agents/node_modules/@anthropic-ai/claude-code/package.json
  if [ -x "$claude" ] && grep -q "\"version\": \"${agent##*@}\"" "$known"; then return 0; fi
  if ! absent npm; then
    echo "installing $agent"
    npm install --silent --no-fund --no-audit --prefix "$agents" "$agent" >/dev/null 2>&1 || true
  fi
  [ -x "$claude" ] || missing+=("$agent")
}

install_packages
mkdir -p target
install_agent

if [ ${#missing[@]} -gt 0 ]; then
  echo "could not install: ${missing[*]}" >&2
  if [ "${CI:-}" = true ]; then exit 1; fi
  echo "the suites that need them are skipped" >&2
fi

cargo test --locked "$@"
