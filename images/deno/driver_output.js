// Output: each execution has pipes of its own for stdout and stderr.
//
// File descriptors 1 and 2 are the pipes of the newest execution, and so are Deno's duplicates of them, which child
// processes inherit. What the console, Deno.stdout and process.stdout print goes to the pipe of the execution that caused
// it, also from a callback that outlives its execution.

import { AsyncLocalStorage } from "node:async_hooks";
import { Buffer } from "node:buffer";
import process from "node:process";

import { aboveStandard, close, dup2, duplicate, write } from "./driver_libc.js";
import { create, defineProperty, encode, getOwnPropertyDescriptor, keys, lengthOf, method } from "./driver_safe.js";

const KEPT = 64; // executions with open pipes; what older ones print is dropped
const WARNING = 2; // the level from which the console prints to stderr

const storage = new AsyncLocalStorage();
const storeOf = method(storage.getStore).bind(null, storage);
const kept = []; // a ring
const inherited = [1, 2].map(duplicateOf); // what children get for stdout and stderr
let begun = 0;
let newest = { __proto__: null, fds: [1, 2], rejections: { __proto__: null } };

/** Have what runs from here on, and what it starts, print for an execution. */
export const enter = method(storage.enterWith).bind(null, storage);

/** Return the execution that has caused what runs now. */
export const here = () => storeOf() ?? newest;

/** Make a pair of pipes the newest execution's, which is returned, and put the streams right. */
export function begin(stdout, stderr) {
  const fds = [aboveStandard(stdout), aboveStandard(stderr)];
  restore();
  for (let i = 0; i < fds.length; i++) {
    dup2(fds[i], i + 1);
    duplicate(fds[i], inherited[i]);
  }
  newest = { __proto__: null, fds, rejections: { __proto__: null } };
  const oldest = kept[begun % KEPT];
  kept[begun++ % KEPT] = newest;
  if (oldest !== undefined) {
    shut(oldest, 0);
    shut(oldest, 1);
  }
  return newest;
}

/** Return which file descriptor Deno keeps as a duplicate of another one: driver_start.sh makes sure that it can be told. */
function duplicateOf(fd) {
  const directory = "/proc/self/fd";
  const file = Deno.readLinkSync(`${directory}/${fd}`);
  for (const { name } of Deno.readDirSync(directory)) {
    try {
      if (Number(name) > 2 && Deno.readLinkSync(`${directory}/${name}`) === file) {
        return Number(name);
      }
    } catch {
      // It has been closed since: the directory's own.
    }
  }
  throw new Error(`Deno keeps no duplicate of file descriptor ${fd}`);
}

function shut(execution, index) {
  if (execution.fds[index] > 2) {
    close(execution.fds[index]);
  }
  execution.fds[index] = -1;
}

/** Print for an execution: that which has caused what runs now. A pipe that is gone is no error: nobody reads it. */
export function print(index, bytes, execution = here()) {
  if (execution.fds[index] >= 0 && !write(execution.fds[index], bytes)) {
    shut(execution, index);
  }
  return lengthOf(bytes);
}

/** Have a stream of Deno and the same one of Node.js print for executions. */
function redirect(index, stream, nodeStream) {
  const writeSync = (bytes) => print(index, bytes);
  stream.writeSync = writeSync;
  stream.write = (bytes) => Promise.resolve(bytes).then(writeSync);
  defineProperty(stream, "writable", {
    configurable: true, enumerable: true, get: () => new WritableStream({ write: (bytes) => void writeSync(bytes) }),
  });
  nodeStream._write = (chunk, encoding, done) => {
    writeSync(typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk);
    done();
  };
}

redirect(0, Deno.stdout, process.stdout);
redirect(1, Deno.stderr, process.stderr);

const { Console } = Deno[Deno.internal];
const console = globalThis.console;
const ours = new Console((text, level) => print(level < WARNING ? 0 : 1, encode(text)));
for (const name of keys(console)) {
  if (typeof ours[name] === "function" && name !== "Console") {
    console[name] = ours[name];
  }
}

// What the objects looked like before user code did.
const own = [Deno.stdout, Deno.stderr, process.stdout, process.stderr, console].map(propertiesOf);
const named = [[Deno, "stdout"], [Deno, "stderr"], [globalThis, "Deno"], [globalThis, "console"]].map(([object, name]) =>
  ({ object, properties: { __proto__: null, [name]: getOwnPropertyDescriptor(object, name) } }));
const all = own.concat(named);

function propertiesOf(object) {
  const properties = create(null);
  for (const name of keys(object)) {
    const descriptor = getOwnPropertyDescriptor(object, name);
    if (typeof (descriptor.value ?? descriptor.get) === "function") {
      properties[name] = descriptor;
    }
  }
  return { object, properties };
}

/** Put back the streams, the console and their methods, where user code has replaced them. */
function restore() {
  delete process.stdout.write;
  delete process.stderr.write;
  for (let i = 0; i < all.length; i++) {
    const { object, properties } = all[i];
    const names = keys(properties);
    for (let j = 0; j < names.length; j++) {
      try {
        defineProperty(object, names[j], properties[names[j]]);
      } catch {
        // User code has made it permanent.
      }
    }
  }
}
