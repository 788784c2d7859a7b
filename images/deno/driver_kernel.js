// The kernel: answers the supervisor's requests, one at a time.

import { die, send } from "./driver_channel.js";
import { Runner } from "./driver_execution.js";
import { Inspector, open } from "./driver_inspector.js";
import { cells, interrupting } from "./driver_interrupts.js";
import { provideJupyter } from "./driver_jupyter.js";
import { print } from "./driver_output.js";
import { errorOf } from "./driver_results.js";
import { encode, setPrototypeOf, test } from "./driver_safe.js";
import { enterDirectory, HOME, provideExit, provideImports, provideTimers,
  setVariables } from "./driver_scope.js";

/** Boot, and answer requests until the supervisor is gone. */
export function serve() {
  const url = open();
  const worker = new Worker(new URL("driver_worker.js", import.meta.url), { type: "module" });
  const inspector = new Inspector(url, () => die("the inspector has been closed"));
  const runner = new Runner(inspector);
  Deno.addSignalListener("SIGINT", () => {}); // the signal is for what user code has started
  takeErrors(runner);
  provideExit();
  provideImports();
  provideTimers();
  provideJupyter((bundle) => runner.display(bundle));
  answer(worker, runner);
  inspector.connected(() => runner.prepare(() => worker.postMessage({ url, cells })));
}

function answer(worker, runner) {
  const answers = {
    __proto__: null,
    boot: () => send({ __proto__: null, type: "boot", version: Deno.version.deno }),
    die: ({ reason }) => die(reason),
    setup,
    ping: () => send({ __proto__: null, type: "pong" }),
    execute: (request) => {
      if (request.fds.length !== 2) {
        die("an execute came without its pipes: no file descriptor is left for them");
      }
      runner.execute(request);
    },
    interrupt: () => runner.interrupt(),
    interrupted: () => runner.interrupted(),
  };
  worker.addEventListener("message", ({ data: request }) => {
    try {
      setPrototypeOf(request, null); // what it lacks is not to be found with all objects
      answers[request.op](request);
    } catch (error) {
      die(`${request.op}: ${error?.stack ?? error}`);
    }
  });
  worker.addEventListener("error", (event) => die(`worker: ${event.message}`));
}

function setup({ cwd, env }) {
  try {
    enterDirectory(cwd || HOME);
    setVariables(env ?? {});
  } catch (error) {
    send({ __proto__: null, type: "failed", value: error.message });
    return;
  }
  send({ __proto__: null, type: "ready" });
}

/** Print errors that nobody caught for the execution that caused them. They do not end the kernel. */
function takeErrors(runner) {
  const tell = (what, thrown) => {
    const { traceback } = errorOf(thrown);
    print(1, encode(`${test(/^Uncaught/, traceback) ? "" : what}${traceback}\n`));
  };
  addEventListener("error", (event) => {
    event.preventDefault();
    if (event.error !== null || !interrupting()) { // what V8 terminates counts as thrown null
      tell("Uncaught ", event.error);
    }
  });
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    const { promise, reason } = event;
    runner.rejected(promise, () => tell("Uncaught (in promise) ", reason));
  });
}
