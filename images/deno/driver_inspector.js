// Asks V8's inspector of this process, over a WebSocket.

import inspector from "node:inspector";

import { die } from "./driver_channel.js";
import { isObject, method, parse, setPrototypeOf, stringify } from "./driver_safe.js";

const sendText = method(WebSocket.prototype.send);

/** Have this process be inspected, on a port of the loopback device that the system chooses. Returns the address. */
export function open() {
  inspector.open(0, "127.0.0.1");
  return inspector.url();
}

/** Take what user code has given all objects away from one that the driver parses. */
const bare = (key, value) => isObject(value) ? setPrototypeOf(value, null) : value;

export class Inspector {
  #socket;
  #answers = { __proto__: null };
  #asked = 0;

  /** Connect. Closed is called when nothing can be asked any more. */
  constructor(url, closed) {
    this.#socket = new WebSocket(url);
    this.#socket.addEventListener("close", closed);
    this.#socket.addEventListener("message", ({ data }) => {
      try {
        const { id, result } = parse(data, bare);
        const answer = this.#answers[id];
        delete this.#answers[id];
        answer?.(result);
      } catch (error) {
        die(`what the inspector has answered: ${error?.stack ?? error}`);
      }
    });
  }

  /** Have ready be called when something can be asked. */
  connected(ready) {
    this.#socket.addEventListener("open", ready);
  }

  /** Ask. The answer is undefined where the inspector has none. The parameters are objects without a prototype. */
  ask(what, parameters, answer) {
    const id = ++this.#asked;
    if (answer !== undefined) {
      this.#answers[id] = answer;
    }
    sendText(this.#socket, stringify({ __proto__: null, id, method: what, params: parameters }));
  }
}
