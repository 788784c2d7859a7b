// Asks V8's inspector of this process. The worker hands questions and answers on.

import inspector from "node:inspector";

import { stringify } from "./driver_safe.js";

/** Have this process be inspected, on a port of the loopback device that the system chooses. Returns the address. */
export function open() {
  inspector.open(0, "127.0.0.1");
  return inspector.url();
}

export class Inspector {
  #send;
  #answers = { __proto__: null };
  #asked = 0;

  /** Ask by text that is sent. */
  constructor(send) {
    this.#send = send;
  }

  /** Ask. The answer is undefined where the inspector has none. The parameters are objects without a prototype. */
  ask(what, parameters, answer) {
    const id = ++this.#asked;
    if (answer !== undefined) {
      this.#answers[id] = answer;
    }
    this.#send(stringify({ __proto__: null, id, method: what, params: parameters }));
  }

  /** Take what the inspector has answered. */
  answered({ id, result }) {
    const answer = this.#answers[id];
    delete this.#answers[id];
    answer?.(result);
  }
}
