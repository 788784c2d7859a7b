"use strict";
// Output: each execution has pipes of its own for stdout and stderr.
//
// File descriptors 1 and 2 are the pipes of the newest execution: child processes write there. What JavaScript prints
// goes to the pipe of the execution that caused it, also from a callback that outlives its execution.

const { AsyncLocalStorage } = require("node:async_hooks");
const { Writable } = require("node:stream");

const { pause } = require("./driver_channel.js");
const { bufferFrom, closeSync, create, defineProperty, deleteProperty, encode, getOwnPropertyDescriptor,
  isUint8Array, keys, lengthOf, method, ownMethods, writeSync } = require("./driver_safe.js");
const { aboveStandard, duplicate } = require("./driver_libc.js");

const KEPT = 64; // executions with open pipes; what older ones print is dropped
const NAMES = ["stdout", "stderr"];

const storage = new AsyncLocalStorage();
ownMethods(storage, ["enterWith", "getStore"]); // run calls them
const runIn = method(storage.run).bind(null, storage);
const storeOf = method(storage.getStore).bind(null, storage);
const kept = []; // a ring
let begun = 0;
const { nextTick } = process;
let written = []; // callbacks of what was written in this turn
let count = 0;
let newest = { __proto__: null, fds: [1, 2] };

/** Make a pair of pipes the newest execution's, which is returned, and put the streams right. */
function begin(stdout, stderr) {
  const fds = [aboveStandard(stdout, closeSync), aboveStandard(stderr, closeSync)];
  install();
  duplicate(fds[0], 1);
  duplicate(fds[1], 2);
  newest = { __proto__: null, fds };
  count = 0; // an interrupt may have dropped the callback that would have told them
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
  const length = lengthOf(bytes);
  for (let written = 0; written < length; ) {
    const fd = execution.fds[index];
    if (fd < 0) {
      return;
    }
    try {
      written += writeSync(fd, bytes, written, length - written);
    } catch (error) {
      if (error.code === "EAGAIN") {
        pause(); // a child has made the pipe non-blocking
      } else if (error.code === "EPIPE" || error.code === "EBADF") {
        close(execution, index);
      } else if (error.code !== "EINTR") {
        throw error;
      }
    }
  }
}

/**
 * process.stdout or process.stderr. It writes at once, past the states of a Writable, in which an interrupt could leave
 * it stuck, and nothing closes it: the next execution needs it.
 */
class Output extends Writable {
  #index;

  constructor(index) {
    super();
    this.#index = index;
    this.fd = index + 1;
    this._isStdio = true; // by which pipe() knows not to end it
  }

  write(chunk, encoding, done) {
    if (typeof encoding === "function") {
      done = encoding;
      encoding = undefined;
    }
    write(this.#index, bytesOf(chunk, encoding));
    if (typeof done === "function") {
      written[count++] = done;
      if (count === 1) {
        nextTick(tellWritten);
      }
    }
    return true;
  }

  end(chunk, encoding, done) {
    const last = typeof chunk === "function" ? chunk : typeof encoding === "function" ? encoding : done;
    if (chunk !== undefined && chunk !== null && typeof chunk !== "function") {
      this.write(chunk, encoding);
    }
    nextTick(() => {
      this.emit("finish");
      last?.();
    });
    return this;
  }

  destroy() {
    return this;
  }
}

function bytesOf(chunk, encoding = "utf8") {
  if (typeof chunk !== "string") {
    if (!isUint8Array(chunk)) {
      throw new TypeError("what is written should be a string or bytes");
    }
    return chunk;
  }
  return encoding === "utf8" || encoding === "utf-8" ? encode(chunk) : bufferFrom(chunk, encoding);
}

/** Call back those who wanted to know when something is written. */
function tellWritten() {
  const callbacks = written;
  const number = count;
  written = [];
  count = 0;
  for (let i = 0; i < number; i++) {
    callbacks[i](null);
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
