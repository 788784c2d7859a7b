// The other thread: it receives the supervisor's frames while user code runs, hands requests on, and interrupts.
//
// An interrupt is first a message to the driver in user code's thread, which ends what waits for something. Only where
// that thread is too busy to take the message, the inspector pauses it, and terminates what runs if that is user code:
// by then it can be the driver, Deno or the inspector, and none survives that. Both threads settle by cells in shared
// memory who ends the execution.

import { EVALUATING, TERMINATING, WAITING } from "./driver_interrupts.js";
import { Receiver } from "./driver_libc.js";

const BUSY_MILLISECONDS = 20; // that long without an answer, and user code is taken to be busy
const AGAIN_MILLISECONDS = 100; // that long without an end, and V8 is asked again
const CHANNEL = 3;

// The ids of questions whose answers matter.
const NEWEST_SCRIPT = 2;
const TERMINATED = 3; // its answer means that user code has been terminated

const decoder = new TextDecoder();

self.onmessage = ({ data: { url, cells } }) => {
  const socket = new WebSocket(url);
  let own; // scripts are numbered: up to this one they are Deno's and the driver's
  socket.onopen = () => {
    ask(socket, "Runtime.evaluate", { expression: "throw 0", silent: true }, NEWEST_SCRIPT);
  };
  socket.onmessage = ({ data }) => {
    const { id, method, params, result } = JSON.parse(data);
    if (method === "Debugger.paused") {
      paused(socket, cells, params.callFrames.some(({ location }) => Number(location.scriptId) > own));
    } else if (id === TERMINATED) {
      self.postMessage({ op: "interrupted" });
    } else if (id === NEWEST_SCRIPT) {
      own = Number(result.exceptionDetails.scriptId);
      self.postMessage({ op: "boot" });
      serve(new Receiver(CHANNEL), () => interrupt(socket, cells));
    }
  };
  socket.onclose = () => self.postMessage({ op: "die", reason: "the inspector has been closed" });
};

async function serve(receiver, interrupt) {
  let line = [];
  let fds = [];
  for (;;) {
    const received = await receiver.receive();
    if (received === undefined || received.bytes.length === 0) {
      self.postMessage({ op: "die", reason: "the supervisor is gone" });
      return;
    }
    fds.push(...received.fds);
    let begin = 0;
    for (let end; (end = received.bytes.indexOf(10, begin)) >= 0; begin = end + 1) {
      line.push(received.bytes.subarray(begin, end));
      const request = JSON.parse(await textOf(line));
      if (request.op === "interrupt") {
        interrupt();
      } else {
        self.postMessage({ ...request, fds });
      }
      line = [];
      fds = [];
    }
    line.push(received.bytes.slice(begin));
  }
}

const textOf = async (parts) => decoder.decode(parts.length === 1 ? parts[0] : await new Blob(parts).arrayBuffer());

function interrupt(socket, cells) {
  Atomics.store(cells, 0, WAITING);
  self.postMessage({ op: "interrupt" });
  setTimeout(() => {
    if (Atomics.compareExchange(cells, 0, WAITING, TERMINATING) === WAITING) {
      pause(socket, cells);
    }
  }, BUSY_MILLISECONDS);
}

/** Pause what runs, and again until V8 has terminated it: where it calls Deno, a termination may get lost. */
function pause(socket, cells) {
  ask(socket, "Debugger.enable", { maxScriptsCacheSize: 0 });
  ask(socket, "Debugger.pause");
  setTimeout(() => {
    if (Atomics.load(cells, 0) === TERMINATING) {
      // It may wait for a child that has been started since the supervisor's signal. The first of the group is this process.
      Deno.kill(-Deno.pid, "SIGINT");
      pause(socket, cells);
    }
  }, AGAIN_MILLISECONDS);
}

/** Go on when what runs has been paused: terminate it, or wait for the driver again if it is not the user's. */
function paused(socket, cells, users) {
  const terminate = users && Atomics.load(cells, 0) === TERMINATING && Atomics.load(cells, 1) !== EVALUATING;
  ask(socket, "Debugger.resume", { terminateOnResume: terminate });
  ask(socket, "Debugger.disable", {}, terminate ? TERMINATED : 1);
  if (!terminate && Atomics.compareExchange(cells, 0, TERMINATING, WAITING) === TERMINATING) {
    interrupt(socket, cells);
  }
}

function ask(socket, method, params = {}, id = 1) {
  socket.send(JSON.stringify({ id, method, params }));
}
