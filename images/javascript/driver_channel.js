"use strict";
// Frames to the supervisor: JSON objects, one a line, on file descriptor 3.

const { encode, keys, lengthOf, stringify, writeSync } = require("./driver_safe.js");
const { exit } = require("./driver_libc.js");

const CHANNEL = 3;
const { compareExchange, load, notify, store, wait } = Atomics;

// What both threads share: the lock, and what the main thread is needed for.
const LOCK = 0;
const RUNNING = 1; // the serial number of what runs, or of the ping that waits for its pong, which is negative
const WANTED = 2; // 1: the worker waits for the lock
const TERMINATED = 3; // for which of them the worker has had something terminated last
const FREE = 0;
const MAIN = 1; // the main thread sends
const WORKER = 2; // the worker has something terminated
const cells = new Int32Array(new SharedArrayBuffer(16));
const never = new Int32Array(new SharedArrayBuffer(4)); // what is never notified

/** Wait a millisecond for a descriptor that somebody has made non-blocking. */
const pause = () => void wait(never, 0, 0, 1);

/** Call f while no interrupt can cut it. It must not run user code, and ends soon. */
function whole(f) {
  // An execution that is being terminated is terminated here, while it waits.
  while (load(cells, WANTED) === 1) {
    wait(cells, WANTED, 1);
  }
  while (compareExchange(cells, LOCK, FREE, MAIN) !== FREE) {
    wait(cells, LOCK, WORKER);
  }
  try {
    f();
  } finally {
    store(cells, LOCK, FREE);
    notify(cells, LOCK);
  }
}

/** Say which execution can be interrupted from now on; 0: none. */
function setRunning(serial) {
  store(cells, RUNNING, serial);
}

/** Report whether that is the serial number of what runs, or of the ping that waits. */
const isRunning = (serial) => load(cells, RUNNING) === serial;

/** Report whether the worker has had an execution terminated. */
const isTerminated = (serial) => load(cells, TERMINATED) === serial;

/** Write frames, one after the other. A supervisor that cannot be reached ends the process. */
function send(...frames) {
  for (let i = 0; i < frames.length; i++) {
    write(encode(line(frames[i])));
  }
}

/** Return a frame as a line. A value is a string, a number, a boolean, or, under "data", JSON. */
function line(frame) {
  let text = "";
  const names = keys(frame);
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    text += `${text === "" ? "{" : ","}"${name}":${name === "data" ? frame.data : stringify(frame[name])}`;
  }
  return text + "}\n";
}

function write(bytes) {
  const length = lengthOf(bytes);
  for (let sent = 0; sent < length; ) {
    try {
      sent += writeSync(CHANNEL, bytes, sent, length - sent);
    } catch (error) {
      if (error.code === "EAGAIN") {
        pause(); // whoever polls the channel has made it non-blocking
      } else if (error.code !== "EINTR") {
        exit(70);
      }
    }
  }
}

/** End the process, which the supervisor reports as the death of this kernel, and its reason. */
function die(reason) {
  write(encode(line({ __proto__: null, type: "dying", value: `javascript driver: ${reason}` })));
  exit(70);
}

module.exports = {
  CHANNEL, FREE, LOCK, RUNNING, TERMINATED, WANTED, WORKER,
  cells, die, isRunning, isTerminated, pause, send, setRunning, whole,
};
