// Frames to the supervisor: JSON objects, one a line, on file descriptor 3. User code's thread sends all of them.

import { closeInChildren, exit, write } from "./driver_libc.js";
import { encode, stringify } from "./driver_safe.js";

const CHANNEL = 3;

closeInChildren(CHANNEL);

/** Send a frame. It has no prototype: a toJSON that user code gives to all objects is not its. */
export function send(frame) {
  sendText(stringify(frame));
}

/** Send a frame that is JSON already. A supervisor that cannot be reached ends the process. */
export function sendText(json) {
  if (!write(CHANNEL, encode(`${json}\n`))) {
    exit(70);
  }
}

/** End the process, which the supervisor reports as the death of this kernel, and its reason. */
export function die(reason) {
  send({ __proto__: null, type: "dying", value: `deno driver: ${reason}` });
  exit(70);
}
