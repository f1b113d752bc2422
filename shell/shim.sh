#!/bin/sh
# kage shim: @agent@ runs on a subscription from the pool. `kage shim remove @agent@` takes this file away.
kage=@kage@
if [ ! -f "$kage" ] || [ ! -x "$kage" ]; then
  printf '%s\n' "kage: $kage is gone, so \`@agent@\` does not run on a subscription" \
    "hint: install kage there again, or take this shim away: rm '$0'" >&2
  exit 127
fi
exec "$kage" run-as @agent@ -- "$@"
