// Runs code, one execution at a time, through the REPL mode of V8's inspector.
//
// What ends an interrupted execution waits for no promise: to terminate what runs drops all that V8 has queued. It is a
// message of the worker that ends it.

import { settle, terminated } from "./driver_cells.js";
import { die, send, sendText } from "./driver_channel.js";
import { loadLexer, rewrite, usesModules } from "./driver_code.js";
import { begin, enter, here, print } from "./driver_output.js";
import { bundleOf, errorOf, jsonOf, PREFIX } from "./driver_results.js";
import { awaitable, define, deleteProperty, encode, isPromise, keys, resolved, secret, setPrototypeOf, stringify,
  then } from "./driver_safe.js";
import { hintFor, replaceVariables, setVariables } from "./driver_scope.js";

const INTERRUPTED = {
  __proto__: null, type: "error", name: "KeyboardInterrupt", value: "", traceback: "KeyboardInterrupt",
};
const CELL = "cell"; // the group of what the inspector holds for us

export class Runner {
  #inspector;
  #count = 0;
  #rejections = 0;
  #pong; // answers a ping that came while V8 was terminating what runs
  #running = null; // the execution of which done has not been sent
  #taken; // the value that the inspector has handed over last
  #take; // the inspector's name of the function that takes it

  constructor(inspector) {
    this.#inspector = inspector;
  }

  /** Prepare to run code; ready is called when that is possible. */
  prepare(ready) {
    const name = secret();
    define(name, (value) => { this.#taken = value; });
    this.#inspector.ask("Runtime.evaluate", { __proto__: null, expression: name }, ({ result }) => {
      deleteProperty(globalThis, name);
      this.#take = result.objectId;
      ready();
    });
  }

  /** Run the code of a request. Everything that it tells is told by frames. */
  execute(request) {
    const execution = this.#running = begin(request.fds[0], request.fds[1]);
    execution.restore = {};
    send({ __proto__: null, type: "started", count: ++this.#count });
    try {
      execution.restore = setVariables(request.env ?? {});
    } catch (error) {
      this.#finish(execution, errorOf(error));
      return;
    }
    const code = request.code ?? "";
    if (usesModules(code)) {
      then(loadLexer(), () => this.#evaluate(execution, code), (error) => die(`load the lexer: ${error.message}`));
    } else {
      this.#evaluate(execution, code);
    }
  }

  /** End what runs, because the worker has received an interrupt, and answer the ping that waits. */
  interrupt() {
    if (settle()) {
      this.#interrupted();
    }
  }

  /** The same for what ran until V8 has terminated it, because the worker could not wait for the driver to do so. */
  interrupted() {
    if (terminated()) {
      this.#interrupted();
    }
  }

  #interrupted() {
    if (this.#running !== null) {
      this.#finish(this.#running, this.#running.held ?? INTERRUPTED);
    }
    const pong = this.#pong;
    this.#pong = undefined;
    pong?.();
  }

  /** Answer a ping, once nothing is under way that could hit what comes next. */
  ping(pong) {
    if (settle()) {
      pong();
    } else {
      this.#pong = pong;
    }
  }

  /** Tell of a promise that nobody had handled when it was rejected, unless it turns out to be an execution's value. */
  rejected(promise, tell) {
    const execution = here();
    const id = ++this.#rejections;
    execution.rejections[id] = () => execution.value === promise || tell(execution);
    // After two answers the value of code that has ended by now has been handed over.
    this.#wait(() => this.#wait(() => this.#tell(execution, id)));
  }

  #tell(execution, id) {
    const tell = execution.rejections[id];
    delete execution.rejections[id];
    tell?.();
  }

  #wait(go) {
    this.#inspector.ask("Runtime.getIsolateId", { __proto__: null }, go);
  }

  /** Show a value, or a bundle of MIME types, in the execution that asks for it. One that is over shows nothing. */
  display(bundle) {
    this.#publish(here(), bundle, false);
  }

  #evaluate(execution, code) {
    if (execution !== this.#running) {
      return; // it has been interrupted while the lexer was loaded
    }
    let script;
    try {
      script = rewrite(code);
    } catch (error) {
      this.#finish(execution, errorOf(error));
      return;
    }
    // What the code calls first, and awaits, then calls again: the name is gone when the user's part of it runs. The first
    // call can be in the middle of an interrupted execution's code, where the inspector takes messages, too, and which
    // goes on to print for itself.
    const name = secret();
    let begun = false;
    define(name, () => {
      if (execution !== this.#running) {
        deleteProperty(globalThis, name);
        throw INTERRUPTED; // before it began: nobody waits for this
      }
      if (!begun) {
        begun = true;
        return awaitable;
      }
      deleteProperty(globalThis, name);
      enter(execution);
      return undefined;
    });
    this.#inspector.ask("Runtime.evaluate", {
      __proto__: null, expression: PREFIX(name) + script, objectGroup: CELL, replMode: true,
    }, (response) => {
      deleteProperty(globalThis, name); // a syntax error has left it
      this.#answered(execution, response);
    });
  }

  /** Go on with what the inspector says of an execution: a value, or what was thrown. */
  #answered(execution, response) {
    // No response: what the code awaits can never come, and goes on to be awaited. Only an interrupt ends that.
    if (execution !== this.#running || response === undefined) {
      return;
    }
    const { result, exceptionDetails: details } = response;
    this.#value(details?.exception ?? result, (value) => {
      execution.value = value;
      // User code is called, and can only be terminated where a promise has been waited for.
      this.#await(execution, resolved, () => {
        enter(execution);
        if (details === undefined) {
          this.#show(execution, value);
        } else {
          this.#fail(execution, value, details);
        }
      });
    });
  }

  /** Show the value of an execution as its result, once it is there, and end the execution. */
  #show(execution, value) {
    try {
      if (isPromise(value)) {
        this.#await(execution, value, (settled) => this.#show(execution, settled));
      } else if (value === undefined) {
        this.#finish(execution);
      } else {
        this.#await(execution, bundleOf(value), (bundle) => {
          this.#publish(execution, bundle, true);
          this.#finish(execution);
        });
      }
    } catch (error) {
      this.#finish(execution, errorOf(error));
    }
  }

  /**
   * Go on with a value once it is there. If the execution has been interrupted meanwhile nobody waits for that, and to go
   * on would call user code in the middle of a later execution.
   */
  #await(execution, value, go) {
    if (!isPromise(value)) {
      go(value);
      return;
    }
    const fail = (error) => execution === this.#running && this.#fail(execution, error);
    then(value, (settled) => {
      try {
        execution === this.#running && go(settled);
      } catch (error) {
        fail(error);
      }
    }, fail);
  }

  #fail(execution, thrown, details) {
    const error = errorOf(thrown, details);
    print(1, encode(hintFor(thrown)));
    this.#finish(execution, error);
  }

  #publish(execution, bundle, main) {
    if (execution === this.#running) {
      sendText(`{"type":"result","main":${main},"data":${jsonOf(bundle)}}`);
    }
  }

  #finish(execution, error) {
    if (execution !== this.#running) {
      return;
    }
    if (!settle()) {
      execution.held = error;
      return;
    }
    const rejections = keys(execution.rejections);
    for (let i = 0; i < rejections.length; i++) {
      this.#tell(execution, rejections[i]);
    }
    this.#running = null;
    try {
      replaceVariables(execution.restore);
    } catch (fault) {
      die(`restore the environment: ${fault.message}`);
    }
    sendText(error === undefined ? '{"type":"done"}' : `${stringify(error)}\n{"type":"done"}`);
    this.#inspector.ask("Runtime.releaseObjectGroup", { __proto__: null, objectGroup: CELL });
  }

  /** Give the value that the inspector describes. */
  #value({ objectId, value, unserializableValue }, give) {
    if (objectId === undefined && unserializableValue === undefined) {
      give(value);
      return;
    }
    const list = [{ __proto__: null, objectId, unserializableValue }];
    setPrototypeOf(list, null); // which also takes a toJSON away from it
    this.#inspector.ask("Runtime.callFunctionOn", {
      __proto__: null, functionDeclaration: "function (value) { this(value); }", objectId: this.#take, arguments: list,
    }, () => {
      const taken = this.#taken;
      this.#taken = undefined;
      give(taken);
    });
  }
}
