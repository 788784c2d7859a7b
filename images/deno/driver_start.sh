#!/bin/sh
# Starts Deno and the driver. Deno gives child processes duplicates of the stdout and stderr that it was started with. The
# driver has to find these (driver_output.js) and tell one from the other, so stdout begins as something of its own.
#
# V8 would take its heap's limit from the machine's memory. Of the container's it gets as much as in Node.js.
heap=
for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
	if read -r limit 2>/dev/null <"$file" && [ "$limit" != max ] && [ ${#limit} -lt 15 ]; then
		heap=--v8-flags=--max-old-space-size=$((limit / 1048576 * 6 / 10))
	fi
done
unset PWD # this shell's
exec /usr/local/bin/deno run $heap --quiet --allow-all --no-check --no-config --no-lock /opt/cubby/driver.js >/dev/zero
