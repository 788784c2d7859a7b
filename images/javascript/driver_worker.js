"use strict";
// The worker thread: receives the supervisor's frames, also while user code keeps the main thread busy.

const { Session } = require("node:inspector");
const { parentPort, workerData } = require("node:worker_threads");

const { CHANNEL, FREE, LOCK, RUNNING, TERMINATED, WANTED, WORKER, die } = require("./driver_channel.js");
const { Receiver, closeOnExec, exit, fileReserve, poll } = require("./driver_libc.js");

const USUAL_FILES = 1024n;
const PATIENCE = 10; // milliseconds for the main thread to take an interrupt by itself
const PING_PATIENCE = 1000; // the same for a ping: other code of the user's may run then, and come to its end
const REPEAT = 100; // milliseconds after which it, and children that it waits for, are interrupted again
const { cells, turns } = workerData;

const receiver = new Receiver(CHANNEL);
const withMoreFiles = fileReserve(USUAL_FILES);
const session = new Session();
let partial = []; // of a line whose end has not come
let fds = [];
let pings = 0;

process.on("uncaughtException", (error) => die(`worker: ${error.stack}`));
closeOnExec(CHANNEL);
session.connectToMainThread();
turns.on("message", (serial) => parentPort.postMessage({ op: "turned", serial }));
parentPort.on("close", () => die("user code has closed the way to the main thread"));
// Something has to refer to the watch, or it is collected.
globalThis.watch = poll(CHANNEL, { readable: true, disconnect: true }, () => {
  try {
    receive();
  } catch (error) {
    die(error.stack);
  }
});
parentPort.postMessage({ op: "boot" });

function receive() {
  const received = withMoreFiles(() => receiver.receive());
  if (received === null) {
    return;
  }
  if (received.data.length === 0) {
    exit(0); // the supervisor is gone, and with it the container
  }
  fds.push(...received.fds);
  let rest = received.data;
  for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
    partial.push(rest.subarray(0, end));
    rest = rest.subarray(end + 1);
    const request = JSON.parse(Buffer.concat(partial).toString());
    partial = [];
    answer(request);
  }
  partial.push(rest);
}

function answer(request) {
  if (request.op === "interrupt") {
    interrupt();
    return;
  }
  if (request.op === "ping") {
    ping();
    return;
  }
  if (request.op === "execute") {
    request.fds = fds;
    fds = [];
    if (request.fds.length !== 2) {
      die("an execute came without its pipes: no file descriptor is left for them");
    }
  }
  parentPort.postMessage(request);
}

/** Interrupt what runs. A main thread that waits in its event loop ends the execution by itself, and nothing else. */
function interrupt() {
  const serial = Atomics.load(cells, RUNNING);
  if (serial > 0) {
    insist({ op: "interrupt", serial }, PATIENCE);
  }
}

/**
 * Ask for a pong, after which the next execution comes. What an interrupt finds waiting goes on when what it waits for
 * comes, and may block the main thread for good: that is terminated, too.
 */
function ping() {
  const serial = -++pings;
  Atomics.store(cells, RUNNING, serial);
  insist({ op: "ping", serial }, PING_PATIENCE);
}

/** Hand a request to the main thread. Unless it has been met after that many milliseconds, what runs is terminated. */
function insist(request, patience) {
  parentPort.postMessage(request);
  setTimeout(terminate, patience, request);
}

/** Terminate what the main thread runs, JavaScript or a wait that V8 can end, and hand it the request again. */
function terminate(request) {
  Atomics.store(cells, WANTED, 1);
  if (Atomics.compareExchange(cells, LOCK, FREE, WORKER) !== FREE) {
    setTimeout(terminate, 1, request); // it is sending, or something is being terminated already
    return;
  }
  if (Atomics.load(cells, RUNNING) !== request.serial) {
    release();
    return;
  }
  // V8 cannot end a wait for a child, which may be one that was started after the signal.
  const repeating = setInterval(() => process.kill(0, "SIGINT"), REPEAT);
  // As long as this thread has the lock, the main thread cannot do as requested, so nothing that comes after it can be hit.
  Atomics.store(cells, TERMINATED, request.serial);
  session.post("Runtime.terminateExecution", () => {
    clearInterval(repeating);
    release();
    insist(request, REPEAT); // a timer's callback may have been next
  });
}

function release() {
  for (const cell of [LOCK, WANTED]) {
    Atomics.store(cells, cell, 0);
    Atomics.notify(cells, cell);
  }
}
