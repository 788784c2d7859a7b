// The other thread: it receives the supervisor's frames while user code runs, hands requests on, and interrupts.
//
// An interrupt is first a message to the driver in user code's thread, which ends what waits for something. Only where
// that thread is too busy to take the message, V8 is asked to terminate what it runs. What V8 terminates could be the
// driver itself, so both threads settle by a cell in shared memory who ends the execution.

import { TERMINATING, WAITING } from "./driver_interrupts.js";
import { Receiver } from "./driver_libc.js";

const BUSY_MILLISECONDS = 30; // that long without an answer, and user code is taken to be busy
const CHANNEL = 3;

const decoder = new TextDecoder();

self.onmessage = ({ data: { url, cell } }) => {
  const socket = new WebSocket(url);
  socket.onopen = () => {
    self.postMessage({ op: "boot" });
    serve(new Receiver(CHANNEL), () => interrupt(socket, cell));
  };
  socket.onmessage = ({ data }) => {
    if (JSON.parse(data).id !== undefined) {
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
      socket.send(JSON.stringify({ id: 1, method: "Runtime.terminateExecution" }));
      setTimeout(interruptChild, BUSY_MILLISECONDS, cell);
    }
  }, BUSY_MILLISECONDS);
}

/** Interrupt a child that user code has started since the supervisor's signal, and that its thread waits for. */
function interruptChild(cell) {
  if (Atomics.load(cell, 0) === TERMINATING) {
    Deno.kill(-Deno.pid, "SIGINT"); // the group, of which this process is the first
  }
}
