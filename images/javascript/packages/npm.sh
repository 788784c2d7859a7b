#!/bin/sh
# npm and npx, which without a network fail at once, and say what can be done.
online=$(($(wc -l < /proc/net/route) > 1))
if [ "$online" = 0 ]; then
  export npm_config_fetch_retries=0
fi
/usr/local/bin/node "/usr/local/lib/node_modules/npm/bin/${0##*/}-cli.js" "$@"
status=$?
if [ "$status" != 0 ] && [ "$online" = 0 ]; then
  echo 'hint: this context has no network, so npm cannot reach a registry. Whoever operates the server can give contexts
the network "internet".' >&2
fi
exit "$status"
