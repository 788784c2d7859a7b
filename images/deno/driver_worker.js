// The other thread: it receives the supervisor's frames while user code runs, hands requests on, and interrupts.
//
// An interrupt is first a message to the driver in user code's thread, which ends what waits for something. Only where
// that thread is too busy to take the message, the inspector pauses it, and terminates what runs if that is user code:
// by then it can be the driver, or Deno, and neither survives that. Both threads settle by a cell in shared memory who
// ends the execution.

import { TERMINATING, WAITING } from "./driver_interrupts.js";
import { Receiver } from "./driver_libc.js";

const BUSY_MILLISECONDS = 400; // that long without an answer, and user code is taken to be busy, not just the machine
const CHANNEL = 3;
const OWN = /^(?:ext:|node:|file:\/\/\/opt\/cubby\/)/; // where what is not the user's comes from
const TERMINATED = 2; // the id of the question whose answer means that user code has been terminated

const decoder = new TextDecoder();

self.onmessage = ({ data: { url, cell } }) => {
  const socket = new WebSocket(url);
  socket.onopen = () => {
    self.postMessage({ op: "boot" });
    serve(new Receiver(CHANNEL), () => interrupt(socket, cell));
  };
  socket.onmessage = ({ data }) => {
    const { id, method, params } = JSON.parse(data);
    if (method === "Debugger.paused") {
      paused(socket, cell, params.callFrames);
    } else if (id === TERMINATED) {
      self.postMessage({ op: "interrupted" });
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

function interrupt(socket, cell) {
  Atomics.store(cell, 0, WAITING);
  self.postMessage({ op: "interrupt" });
  setTimeout(() => {
    if (Atomics.compareExchange(cell, 0, WAITING, TERMINATING) === WAITING) {
      ask(socket, "Debugger.enable", { maxScriptsCacheSize: 0 });
      ask(socket, "Debugger.pause");
      setTimeout(interruptChild, BUSY_MILLISECONDS, cell);
    }
  }, BUSY_MILLISECONDS);
}

/** Go on when what runs has been paused: terminate it, or try again if it is not the user's. */
function paused(socket, cell, frames) {
  const terminate = frames.some(({ url }) => !OWN.test(url));
  ask(socket, "Debugger.resume", { terminateOnResume: terminate });
  ask(socket, "Debugger.disable", {}, terminate ? TERMINATED : 1);
  if (!terminate) {
    interrupt(socket, cell);
  }
}

function ask(socket, method, params = {}, id = 1) {
  socket.send(JSON.stringify({ id, method, params }));
}

/** Interrupt a child that user code has started since the supervisor's signal, and that its thread waits for. */
function interruptChild(cell) {
  if (Atomics.load(cell, 0) === TERMINATING) {
    Deno.kill(-Deno.pid, "SIGINT"); // the group, of which this process is the first
  }
}
