"use strict";
// Runs code, one execution at a time, through the REPL mode of V8's inspector.
//
// An interrupt that terminates what runs also drops all that V8 has queued, so that promises may never settle. What goes
// on after it is a message of the worker.

const { Session } = require("node:inspector");
const { promiseHooks: { onInit } } = require("node:v8");

const { die, isTerminated, send, setRunning, whole } = require("./driver_channel.js");
const { Declarations, stripTypes } = require("./driver_code.js");
const { begin, here, runIn } = require("./driver_output.js");
const { bundleOf, errorOf, isBundle, jsonOf, locationOf } = require("./driver_results.js");
const { defineProperty, deleteProperty, getOwnPropertyDescriptor, isPromise, method, then } = require("./driver_safe.js");
const { replaceVariables, setVariables } = require("./driver_scope.js");

const ObjectPrototype = Object.prototype;
const INTERRUPTED = {
  __proto__: null, type: "error", name: "KeyboardInterrupt", value: "", traceback: "KeyboardInterrupt",
};

class Runner {
  #typescript;
  #turn;
  #declarations = new Declarations();
  #session = new Session();
  #post = method(Session.prototype.post).bind(null, this.#session);
  #count = 0;
  #running = null; // the execution of which done has not been sent
  #abandoned = null; // the promises of interrupted executions, which may never settle
  #taken; // the value that the inspector has handed over last
  #take; // the inspector's name of the function that takes it

  /** Turn is to have turned() called with what it is given, in another turn of the event loop. */
  constructor(typescript, turn) {
    this.#typescript = typescript;
    this.#turn = turn;
    this.#session.connect();
    const name = Symbol.for("cubby.take");
    globalThis[name] = (value) => { this.#taken = value; };
    this.#ask("Runtime.evaluate", { expression: "globalThis[Symbol.for('cubby.take')]" }, (failure, { result }) => {
      this.#take = result.objectId;
    });
    delete globalThis[name];
    const display = (value) => this.#display(value);
    defineProperty(globalThis, "display", { configurable: true, writable: true, value: display });
  }

  /** Run the code of a request. Everything that it tells is told by frames. */
  execute(request) {
    const execution = begin(request.fds[0], request.fds[1]);
    execution.serial = ++this.#count;
    execution.restore = {};
    whole(() => {
      this.#running = execution;
      setRunning(execution.serial);
      send({ __proto__: null, type: "started", count: execution.serial });
    });
    runIn(execution, () => this.#begin(execution, request));
  }

  /** End the execution of that serial number, if it still runs: it waits for something, or has been terminated. */
  interrupt(serial) {
    if (this.#running?.serial === serial) {
      this.#abandoned = { __proto__: null, promise: this.#running.promise, before: this.#abandoned };
      this.#end(this.#running, INTERRUPTED);
    }
  }

  #begin(execution, request) {
    const extension = this.#typescript ? "ts" : "js";
    execution.name = `cell-${execution.serial}.${extension}`;
    let code;
    try {
      execution.restore = setVariables(request.env ?? {});
      execution.code = this.#typescript ? stripTypes(request.code ?? "", execution.name) : request.code ?? "";
      ({ code, declared: execution.declared } = this.#declarations.rewrite(execution.code));
    } catch (error) {
      this.#finish(execution, errorOf(error));
      return;
    }
    // The first promise to be made is that of the code as a whole. Were it collected before it settles, the inspector
    // would call JavaScript from the collector, which ends the process.
    const stop = onInit((promise) => {
      stop();
      execution.promise = promise;
    });
    this.#ask("Runtime.evaluate", {
      expression: `${code}\n//# sourceURL=${execution.name}`, objectGroup: "cell", replMode: true, awaitPromise: true,
    }, (failure, response) => {
      stop(); // there is none if the code cannot be parsed
      this.#settle(execution, failure, response);
    });
  }

  /** Go on with what the inspector says of an execution: a value, or what was thrown. */
  #settle(execution, failure, { result, exceptionDetails } = {}) {
    if (execution !== this.#running) {
      return; // it was interrupted
    }
    if (failure) {
      if (!isTerminated(execution.serial)) {
        die(`the inspector cannot run code: ${failure.message}`);
      }
      this.#finish(execution, INTERRUPTED);
      return;
    }
    if (execution.declared !== null) {
      this.#declarations.add(execution.declared);
    }
    const value = this.#value(exceptionDetails?.exception ?? result);
    runIn(execution, () => {
      if (exceptionDetails === undefined) {
        this.#show(execution, value);
        return;
      }
      const { lineNumber, columnNumber } = exceptionDetails;
      const location = execution.declared === null ? locationOf(execution.name, execution.code, lineNumber, columnNumber) : undefined;
      this.#finish(execution, errorOf(value, location));
    });
  }

  /** Show the value of an execution as its result, once it is there, and end the execution. */
  #show(execution, value) {
    try {
      if (isPromise(value)) {
        this.#await(execution, value, (settled) => this.#show(execution, settled));
        return;
      }
      if (value === undefined) {
        this.#finish(execution);
        return;
      }
      const bundle = bundleOf(value);
      if (isPromise(bundle)) {
        this.#await(execution, bundle, (settled) => this.#publish(execution, settled, true) || this.#finish(execution));
        return;
      }
      this.#publish(execution, bundle, true);
      this.#finish(execution);
    } catch (error) {
      this.#finish(execution, errorOf(error));
    }
  }

  /**
   * Go on with a promise's value once it is there. If the execution has been interrupted meanwhile nobody waits for that,
   * and to go on would call user code in the middle of a later execution.
   */
  #await(execution, promise, go) {
    const fail = (error) => execution === this.#running && this.#finish(execution, errorOf(error));
    then(promise, (value) => {
      try {
        execution === this.#running && go(value);
      } catch (error) {
        fail(error);
      }
    }, fail);
  }

  /** What user code knows as display: shows a value, or a bundle of MIME types, in the execution that calls it. */
  #display(value) {
    const execution = here();
    const bundle = isBundle(value) ? value : bundleOf(value);
    return isPromise(bundle)
      ? then(bundle, (settled) => this.#publish(execution, settled, false))
      : this.#publish(execution, bundle, false);
  }

  /** Send a result. One of an execution that is over is dropped. */
  #publish(execution, bundle, main) {
    if (execution === this.#running) { // to make JSON of it calls user code
      const frame = { __proto__: null, type: "result", main, data: jsonOf(bundle) };
      whole(() => execution === this.#running && send(frame));
    }
  }

  /** End an execution once Node.js has told of the promises that it has rejected and nobody waits for. */
  #finish(execution, error) {
    execution.error = error;
    this.#turn(execution.serial);
  }

  /** End the execution of that serial number, if it has finished and nothing has ended it meanwhile. */
  turned(serial) {
    if (this.#running?.serial === serial) { // what it has left behind may run on, and have been terminated
      this.#end(this.#running, this.#running.error ?? (isTerminated(serial) ? INTERRUPTED : undefined));
    }
  }

  #end(execution, error) {
    if (execution !== this.#running) {
      return;
    }
    replaceVariables(execution.restore);
    const done = { __proto__: null, type: "done" };
    whole(() => {
      this.#running = null;
      setRunning(0);
      error === undefined ? send(done) : send(error, done);
    });
    this.#ask("Runtime.releaseObjectGroup", { objectGroup: "cell" }, () => {});
  }

  /** Return the value that the inspector describes. */
  #value({ objectId, value, unserializableValue }) {
    if (objectId === undefined && unserializableValue === undefined) {
      return value;
    }
    this.#taken = undefined;
    let answered = false;
    const list = [{ objectId, unserializableValue }];
    defineProperty(list, "toJSON", { __proto__: null, value: undefined }); // not that of all arrays
    this.#ask("Runtime.callFunctionOn", {
      functionDeclaration: "function (value) { this(value); }", objectId: this.#take,
      arguments: list,
    }, () => { answered = true; });
    if (!answered) {
      die("the inspector does not answer");
    }
    const taken = this.#taken;
    this.#taken = undefined;
    return taken;
  }

  /** Ask the inspector. What Node.js makes of it is JSON, which a toJSON for all objects must not change. */
  #ask(what, parameters, answer) {
    const toJSON = getOwnPropertyDescriptor(ObjectPrototype, "toJSON");
    if (toJSON !== undefined && !deleteProperty(ObjectPrototype, "toJSON")) {
      die("user code has given all objects a toJSON for good");
    }
    this.#post(what, parameters, (failure, response) => {
      try {
        answer(failure, response);
      } catch (error) {
        die(`${what}: ${error?.stack ?? error}`);
      }
    });
    if (toJSON !== undefined && getOwnPropertyDescriptor(ObjectPrototype, "toJSON") === undefined) {
      defineProperty(ObjectPrototype, "toJSON", toJSON);
    }
  }
}

module.exports = { Runner };
