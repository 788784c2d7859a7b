#!/bin/sh
# Starts Deno and the driver. Deno gives child processes duplicates of the stdout and stderr that it was started with. The
# driver has to find these (driver_output.js) and tell one from the other, so stdout begins as something of its own.
exec /usr/local/bin/deno run --quiet --allow-all --no-check --no-config --no-lock /opt/cubby/driver.js >/dev/zero
