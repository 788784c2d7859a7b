// What the two threads tell each other: JSON, through a pair of ports.
//
// This thread awaits none of Deno's promises for that, and listens to no socket. When V8 terminates user code it drops all
// microtasks that are queued behind it, and where one of them was to go on with a loop of Deno's that hands out messages,
// that loop is dead. A cell in shared memory says that something has come, and a synchronous call takes it. After a
// termination the worker has the inspector call `revive`, by which this thread begins to wait anew.

import { receiveMessageOnPort } from "node:worker_threads";

import { cells, MAIL } from "./driver_cells.js";
import { die } from "./driver_channel.js";
import { enter } from "./driver_output.js";
import { isObject, load, method, parse, setPrototypeOf, then, untouched, waitAsync } from "./driver_safe.js";

const postMessage = method(MessagePort.prototype.postMessage);

// What a message hands over: no objects. To iterate over an array would take what user code can replace.
const nothing = { __proto__: null, [Symbol.iterator]: () => nothing, next: () => nothing, done: true };

/** Take what user code has given all objects away from one that is parsed. */
const bare = (key, value) => isObject(value) ? setPrototypeOf(value, null) : value;

export class Mail {
  #port;
  #take;
  #waiting; // the promise of what comes next

  /** Hand the messages that come through a port to take. What one lacks is not to be found with all objects. */
  constructor(port, take) {
    this.#port = port;
    this.#take = take;
    this.#receive();
  }

  /** Send text to the worker. */
  send(text) {
    postMessage(this.#port, text, nothing);
  }

  /** Begin to wait anew, after a termination by which V8 may have dropped the waiting. The worker sends something after it. */
  revive() {
    while (!this.#wait(load(cells, MAIL)));
  }

  #receive() {
    try {
      enter(undefined); // the inspector may have revived this in the middle of an execution
      let seen;
      do {
        seen = load(cells, MAIL);
        for (let mail; (mail = receiveMessageOnPort(this.#port)) !== undefined;) {
          this.#take(parse(mail.message, bare));
        }
      } while (!this.#wait(seen));
    } catch (error) {
      die(`mail: ${error?.stack ?? error}`);
    }
  }

  /** Have what comes next be received. False: something has come since so much had been seen. */
  #wait(seen) {
    const { async, value: woken } = waitAsync(cells, MAIL, seen);
    if (async) {
      this.#waiting = woken;
      then(untouched(woken), () => woken === this.#waiting && this.#receive());
    }
    return async;
  }
}
