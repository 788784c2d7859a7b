// The other thread: it receives the supervisor's frames while user code runs, hands requests on, and interrupts.
//
// An interrupt is first a message to the driver in user code's thread, which ends what waits for something. Only where
// that thread is too busy to take the message, the inspector pauses it, and terminates what runs if that is user code:
// by then it can be the driver or Deno, and neither survives that. Both threads settle by a cell in shared memory who ends
// the execution.
//
// What an interrupt finds waiting in user code goes on when what it waits for comes, and may block the thread for good. A
// ping, which comes before the next execution, is therefore insisted on by the same steps: the driver answers it when it
// takes it, or when it is told that it is interrupted.
//
// A pause that hits what the inspector itself evaluates blocks Deno's thread for good: it waits for the inspector's
// messages, which it is in the middle of taking. So all messages go through one socket, where they keep their order, and
// none that evaluates follows a pause that may still be to come.

import { IDLE, INTERRUPT, MAIL, TERMINATING, WAITING } from "./driver_cells.js";
import { Receiver } from "./driver_libc.js";

const BUSY_MILLISECONDS = 20; // that long without an answer, and user code is taken to be busy
const BLOCKED_MILLISECONDS = 1000; // the same before a ping: other code of the user's may run then, and come to its end
const AGAIN_MILLISECONDS = 100; // that long without an end, and V8 is asked again
const CHANNEL = 3;

// The ids of our own questions, where their answers matter. Those of user code's thread are positive.
const REVIVE = -1;
const REVIVED = -2;
const NEWEST_SCRIPT = -3;
const OTHER = -4;
const QUIET = -5; // and below

// Deno loses what it has read of a message when it writes one meanwhile. Larger ones than this are read in pieces.
const LARGE = 1 << 16;

const decoder = new TextDecoder();
let cells;
let port; // to user code's thread
let socket; // to the inspector
let revive; // the inspector's name of what revives the mail
let newestScript; // scripts are numbered: up to this one they are Deno's and the driver's, but for what these load later
const questions = []; // of user code's thread, yet to be asked

self.onmessage = ({ data }) => {
  ({ cells, port } = data);
  socket = new WebSocket(data.url);
  socket.onopen = () => {
    evaluate("Runtime.evaluate", { expression: data.revive }, REVIVE);
    evaluate("Runtime.evaluate", { expression: "throw 0", silent: true }, NEWEST_SCRIPT);
    port.onmessage = ({ data: question }) => {
      questions.push(question);
      if (questions.length === 1) {
        hand();
      }
    };
  };
  socket.onmessage = ({ data: text }) => {
    const message = JSON.parse(text);
    message.id > 0 ? post(text) : answered(message);
  };
  socket.onclose = () => tell({ op: "die", reason: "the inspector has been closed" });
};

let asked = 0; // questions so far, of both threads
let quiet = 0; // as many when the newest of all was answered

/** Hand questions on. Before a large one all is to be quiet: nothing that was asked before it is still to be answered. */
function hand() {
  while (questions.length > 0) {
    calm();
    if (questions[0].length > LARGE && quiet !== asked) {
      ask("Runtime.getIsolateId", {}, QUIET - asked - 1); // whose answer tells how many had been asked
      return;
    }
    send(questions.shift());
  }
}

function send(question) {
  asked++;
  socket.send(question);
}

function answered({ id, method, params, result }) {
  if (method === "Debugger.paused") {
    paused(params.callFrames.some(({ location }) => Number(location.scriptId) > newestScript));
  } else if (method === "Debugger.resumed") {
    resumed();
  } else if (id === REVIVED) {
    revived(result !== undefined);
  } else if (id <= QUIET) {
    quiet = QUIET - id;
    hand();
  } else if (id === REVIVE) {
    revive = result.result.objectId;
  } else if (id === NEWEST_SCRIPT) {
    newestScript = Number(result.exceptionDetails.scriptId);
    tell({ op: "boot" });
    serve(new Receiver(CHANNEL));
  }
}

/** Tell user code's thread. */
const tell = (message) => post(JSON.stringify(message));

function post(text) {
  port.postMessage(text);
  Atomics.add(cells, MAIL, 1);
  Atomics.notify(cells, MAIL);
}

async function serve(receiver) {
  let line = [];
  let fds = [];
  for (;;) {
    const received = await receiver.receive();
    if (received === undefined || received.bytes.length === 0) {
      tell({ op: "die", reason: "the supervisor is gone" });
      return;
    }
    fds.push(...received.fds);
    let begin = 0;
    for (let end; (end = received.bytes.indexOf(10, begin)) >= 0; begin = end + 1) {
      line.push(received.bytes.subarray(begin, end));
      const request = JSON.parse(await textOf(line));
      line = [];
      if (request.op === "interrupt") {
        interrupt();
      } else if (request.op === "ping") {
        ping(request);
      } else if (request.op === "execute") {
        tell({ ...request, fds });
        fds = [];
      } else {
        tell(request);
      }
    }
    if (begin < received.bytes.length) {
      line.push(received.bytes.slice(begin));
    }
  }
}

const textOf = async (parts) => decoder.decode(parts.length === 1 ? parts[0] : await new Blob(parts).arrayBuffer());

let timer;
let pausing = false; // a pause may be to come
let terminating = false; // what is paused gets terminated

function after(milliseconds, go) {
  clearTimeout(timer);
  timer = setTimeout(go, milliseconds);
}

function interrupt() {
  Atomics.store(cells, INTERRUPT, WAITING);
  insist({ op: "interrupt" }, BUSY_MILLISECONDS);
}

/** Have the driver answer a ping: by itself, or at the end of an interrupt that is under way. */
function ping(message) {
  if (Atomics.compareExchange(cells, INTERRUPT, IDLE, WAITING) === IDLE) {
    insist(message, BLOCKED_MILLISECONDS);
  } else {
    tell(message);
  }
}

/** Have the driver do what ends the waiting, or pause it if it is too busy for that. */
function insist(message, patience) {
  tell(message);
  after(patience, () => {
    if (Atomics.compareExchange(cells, INTERRUPT, WAITING, TERMINATING) === WAITING) {
      pause();
    }
  });
}

// Until the driver has done so, these three follow upon each other, AGAIN_MILLISECONDS apart.

/** Pause what runs, as soon as anything does. */
function pause() {
  if (Atomics.load(cells, INTERRUPT) === TERMINATING) {
    pausing = true;
    ask("Debugger.enable", { maxScriptsCacheSize: 0 });
    ask("Debugger.pause");
    after(AGAIN_MILLISECONDS, signal);
  }
}

/** End the child that it may wait for, which has been started since the supervisor's signal. */
function signal() {
  if (Atomics.load(cells, INTERRUPT) === TERMINATING) {
    Deno.kill(-Deno.pid, "SIGINT"); // the first of its group is this process
    after(AGAIN_MILLISECONDS, release);
  }
}

/** Have the driver do what is waited for, once nothing of the user's runs. */
function release() {
  if (Atomics.load(cells, INTERRUPT) === TERMINATING) {
    evaluate("Runtime.callFunctionOn", { functionDeclaration: "function () { this(); }", objectId: revive }, REVIVED);
    after(AGAIN_MILLISECONDS, pause); // where it calls Deno, a termination may get lost
  }
}

/** Go on when the mail has been revived, unless a termination that was still to come has hit that instead. */
function revived(well) {
  if (well) {
    tell({ op: "interrupted" }); // needed or not: what was sent meanwhile may wait for something to come after it
  }
}

/** Go on when what runs has been paused: terminate it if it is the user's. */
function paused(users) {
  terminating = users && Atomics.load(cells, INTERRUPT) === TERMINATING;
  ask("Debugger.resume", { terminateOnResume: terminating });
}

/** Go on when what was paused runs, or has been terminated. Where it was not the user's, it is the driver's turn again. */
function resumed() {
  calm();
  if (terminating) {
    release();
  } else if (Atomics.compareExchange(cells, INTERRUPT, TERMINATING, WAITING) === TERMINATING) {
    insist({ op: "interrupt" }, BUSY_MILLISECONDS);
  }
}

/** Have no pause be to come. */
function calm() {
  if (pausing) {
    pausing = false;
    ask("Debugger.disable");
  }
}

function evaluate(method, params, id) {
  calm();
  ask(method, params, id);
}

function ask(method, params = {}, id = OTHER) {
  send(JSON.stringify({ id, method, params }));
}
