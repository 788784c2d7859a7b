"use strict";
// Output: each execution has pipes of its own for stdout and stderr.
//
// File descriptors 1 and 2 are the pipes of the newest execution: child processes write there. What JavaScript prints
// goes to the pipe of the execution that caused it, also from a callback that outlives its execution.

const { AsyncLocalStorage } = require("node:async_hooks");
const { Writable } = require("node:stream");

const { bufferFrom, closeSync, create, defineProperty, deleteProperty, encode, getOwnPropertyDescriptor, keys, method,
  writeSync } = require("./driver_safe.js");
const { aboveStandard, duplicate } = require("./driver_libc.js");

const KEPT = 64; // executions with open pipes; what older ones print is dropped
const NAMES = ["stdout", "stderr"];

const storage = new AsyncLocalStorage();
const runIn = method(storage.run).bind(null, storage);
const storeOf = method(storage.getStore).bind(null, storage);
const { wait } = Atomics;
const { isView } = ArrayBuffer;
const nextTick = process.nextTick.bind(process);
const never = new Int32Array(new SharedArrayBuffer(4));
const kept = []; // a ring
let begun = 0;
let newest = { __proto__: null, fds: [1, 2] };

/** Make a pair of pipes the newest execution's, which is returned, and put the streams right. */
function begin(stdout, stderr) {
  const fds = [aboveStandard(stdout, closeSync), aboveStandard(stderr, closeSync)];
  install();
  duplicate(fds[0], 1);
  duplicate(fds[1], 2);
  newest = { __proto__: null, fds };
  const oldest = kept[begun % KEPT];
  kept[begun++ % KEPT] = newest;
  if (oldest !== undefined) {
    close(oldest, 0);
    close(oldest, 1);
  }
  return newest;
}

/** Return the execution that has caused what runs now. */
const here = () => storeOf() ?? newest;

function close(execution, index) {
  const fd = execution.fds[index];
  execution.fds[index] = -1;
  if (fd > 2) {
    try {
      closeSync(fd);
    } catch {
      // User code has closed it.
    }
  }
}

/** Write all of the bytes, which may wait. A pipe that is gone is no error: nobody reads it. */
function write(index, bytes) {
  const execution = here();
  for (let written = 0; written < bytes.length; ) {
    const fd = execution.fds[index];
    if (fd < 0) {
      return;
    }
    try {
      written += writeSync(fd, bytes, written, bytes.length - written);
    } catch (error) {
      if (error.code === "EAGAIN") {
        wait(never, 0, 0, 1); // a child has made the pipe non-blocking
      } else if (error.code === "EPIPE" || error.code === "EBADF") {
        close(execution, index);
      } else if (error.code !== "EINTR") {
        throw error;
      }
    }
  }
}

/** process.stdout or process.stderr. Nothing closes it for good: the next execution needs it. */
class Output extends Writable {
  #index;

  constructor(index) {
    super({ decodeStrings: false });
    this.#index = index;
    this.fd = index + 1;
    this._isStdio = true; // by which pipe() knows not to end it
  }

  /** Write at once. Writable would have all that follows wait for a write that an interrupt has cut, which never ends. */
  write(chunk, encoding, done) {
    if (typeof encoding === "function") {
      done = encoding;
      encoding = undefined;
    }
    if (typeof chunk !== "string" && !isView(chunk)) {
      return super.write(chunk, encoding, done); // which refuses it
    }
    this._write(chunk, encoding ?? "utf8", (error) => done && nextTick(done, error ?? null));
    return true;
  }

  _write(chunk, encoding, done) {
    const bytes = typeof chunk !== "string" ? chunk
      : encoding === "utf8" || encoding === "utf-8" ? encode(chunk) : bufferFrom(chunk, encoding);
    try {
      write(this.#index, bytes);
    } catch (error) {
      done(error);
      return;
    }
    done();
  }

  _destroy(error, done) {
    done(error);
    this._undestroy();
  }
}

const streams = [new Output(0), new Output(1)];
const console = globalThis.console;
// What the objects looked like before user code did; null: it is not to be there.
const own = [streams[0], streams[1], console].map((object) => ({ object, properties: propertiesOf(object) }));

function propertiesOf(object) {
  const properties = create(null);
  for (const name of Object.keys(object)) {
    properties[name] = getOwnPropertyDescriptor(object, name);
  }
  return properties;
}

/** Put back the streams, the console and their methods, where user code has replaced them. */
function install() {
  for (let i = 0; i < NAMES.length; i++) {
    define(process, NAMES[i], { __proto__: null, configurable: true, enumerable: true, get: () => streams[i] });
  }
  define(globalThis, "console", { __proto__: null, configurable: true, writable: true, value: console });
  for (let i = 0; i < own.length; i++) {
    const { object, properties } = own[i];
    const now = keys(object);
    for (let j = 0; j < now.length; j++) {
      if (properties[now[j]] === undefined) {
        deleteProperty(object, now[j]);
      }
    }
    const names = keys(properties);
    for (let j = 0; j < names.length; j++) {
      const was = properties[names[j]];
      if (typeof was.value === "function" && object[names[j]] !== was.value) {
        define(object, names[j], was);
      }
    }
  }
}

function define(object, name, descriptor) {
  try {
    defineProperty(object, name, descriptor);
  } catch {
    // User code has made it permanent.
  }
}

module.exports = { begin, here, install, runIn };
