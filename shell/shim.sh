#!/bin/sh
# kage shim: @agent@ runs on a subscription from the pool. `kage shim remove @agent@` removes this file.
kage=@kage@
if [ ! -f "$kage" ] || [ ! -x "$kage" ]; then
  printf '%s\n' "kage: $kage is missing or not executable, so \`@agent@\` cannot run on a subscription" \
    "hint: install kage there again, or remove this shim: rm '$0'" >&2
  exit 127
fi
exec "$kage" run-as @agent@ -- "$@"
