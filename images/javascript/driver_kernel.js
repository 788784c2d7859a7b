"use strict";
// The kernel: answers the supervisor's requests, one at a time.

const { createHook } = require("node:async_hooks");
const { MessageChannel, Worker } = require("node:worker_threads");

const { cells, die, isRunning, send, setRunning, whole } = require("./driver_channel.js");
const { Runner } = require("./driver_execution.js");
const { exit } = require("./driver_libc.js");
const { here, install, runIn } = require("./driver_output.js");
const { inspect, method, off, on, ownMethods, setPrototypeOf, startsWith } = require("./driver_safe.js");
const { HOME, enterDirectory, provide, setVariables } = require("./driver_scope.js");

/** Boot, and answer requests until the supervisor is gone. */
function serve(typescript) {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker("/opt/cubby/driver_worker.js", { workerData: { cells, turns: port2 }, transferList: [port2] });
  surviveInterrupts();
  install();
  takeErrors();
  provide();
  hideDriver();
  process.reallyExit = exit; // at once: nothing is buffered, and no thread is waited for
  process.argv.length = 1;
  // The worker sends it back. Node.js could call back by itself, but not whatever user code has broken.
  const runner = new Runner(typescript, method(port1.postMessage).bind(null, port1));
  const answers = {
    __proto__: null,
    boot: () => send({ __proto__: null, type: "boot", version: process.versions.node }),
    setup,
    ping: (request) => whole(() => pong(request.serial)),
    execute: (request) => {
      takeErrors();
      runner.execute(request);
    },
    interrupt: (request) => runner.interrupt(request.serial),
    turned: (request) => runner.turned(request.serial),
  };
  ownMethods(worker, ["emit"]);
  worker.on("message", (request) => {
    try {
      setPrototypeOf(request, null); // what it lacks is not to be found with all objects
      answers[request.op](request);
    } catch (error) {
      die(`${request.op}: ${error?.stack ?? error}`);
    }
  });
  worker.on("error", (error) => die(`worker: ${error.stack}`));
  worker.on("exit", () => die("user code has ended the driver's worker"));
}

/** Answer a ping, unless that has been done. */
function pong(serial) {
  if (isRunning(serial)) {
    setRunning(0);
    send({ __proto__: null, type: "pong" });
  }
}

function setup(request) {
  try {
    enterDirectory(request.cwd || HOME);
    setVariables(request.env ?? {});
  } catch (error) {
    send({ __proto__: null, type: "failed", value: error.message });
    return;
  }
  send({ __proto__: null, type: "ready" });
}

/** Have SIGINT not kill the process, whatever listeners user code adds and removes. Children get it as usual. */
function surviveInterrupts() {
  // Node.js keeps the class that watches a signal to itself, and ends the watch with the last listener.
  let Signal;
  const ignore = () => {};
  const hook = createHook({ init: (id, type, trigger, resource) => type === "SIGNALWRAP" && (Signal = resource.constructor) });
  hook.enable();
  on(process, "SIGINT", ignore);
  hook.disable();
  const watch = new Signal();
  watch.unref();
  watch.onsignal = ignore;
  watch.start(require("node:os").constants.signals.SIGINT);
  off(process, "SIGINT", ignore);
}

/** End stacks where the driver begins. */
function hideDriver() {
  const prepare = Error.prepareStackTrace;
  Error.prepareStackTrace = (error, trace) => {
    let end = 0;
    for (; end < trace.length; end++) {
      const file = trace[end].getFileName() ?? "";
      if (startsWith(file, "node:inspector") || startsWith(file, "/opt/cubby/")) {
        break;
      }
    }
    trace.length = end;
    return prepare(error, trace);
  };
}

/** Take what is thrown where nobody catches it, also when user code has removed all listeners. */
function takeErrors() {
  off(process, "uncaughtException", tell);
  off(process, "unhandledRejection", tell);
  on(process, "uncaughtException", tell);
  on(process, "unhandledRejection", tell);
}

/** Print an error that nobody caught for the execution that caused it. */
function tell(error) {
  runIn(here(), () => {
    let text;
    try {
      text = inspect(error);
    } catch {
      text = "an error that cannot be shown";
    }
    process.stderr.write(`Uncaught ${text}\n`);
  });
}

module.exports = { serve };
