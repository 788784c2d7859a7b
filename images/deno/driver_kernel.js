// The kernel: answers the supervisor's requests, one at a time.

import { cells, interrupting } from "./driver_cells.js";
import { die, send } from "./driver_channel.js";
import { Runner } from "./driver_execution.js";
import { Inspector, open } from "./driver_inspector.js";
import { provideJupyter } from "./driver_jupyter.js";
import { Mail } from "./driver_mail.js";
import { here, print } from "./driver_output.js";
import { errorOf } from "./driver_results.js";
import { define, deleteProperty, encode, secret, test } from "./driver_safe.js";
import { enterDirectory, HOME, provideExit, provideImports, provideTimers,
  setVariables } from "./driver_scope.js";

/** Boot, and answer requests until the supervisor is gone. */
export function serve() {
  const { port1, port2 } = new MessageChannel();
  const inspector = new Inspector((question) => mail.send(question));
  const runner = new Runner(inspector);
  const revive = secret();
  const answers = answersOf(runner, revive);
  const mail = new Mail(port1, (message) => {
    try {
      message.op === undefined ? inspector.answered(message) : answers[message.op](message);
    } catch (error) {
      die(`${message.op ?? "what the inspector has answered"}: ${error?.stack ?? error}`);
    }
  });
  define(revive, () => mail.revive());
  const worker = new Worker(new URL("driver_worker.js", import.meta.url), { type: "module" });
  worker.addEventListener("error", (event) => die(`worker: ${event.message}`));
  worker.postMessage({ url: open(), cells, port: port2, revive }, [port2]);
  Deno.addSignalListener("SIGINT", () => {}); // the signal is for what user code has started
  takeErrors(runner);
  provideExit();
  provideImports();
  provideTimers();
  provideJupyter((bundle) => runner.display(bundle));
}

function answersOf(runner, revive) {
  return {
    __proto__: null,
    boot() {
      deleteProperty(globalThis, revive);
      runner.prepare(() => send({ __proto__: null, type: "boot", version: Deno.version.deno }));
    },
    die: ({ reason }) => die(reason),
    setup,
    ping: () => runner.ping(() => send({ __proto__: null, type: "pong" })),
    execute: (request) => {
      if (request.fds.length !== 2) {
        die("an execute came without its pipes: no file descriptor is left for them");
      }
      runner.execute(request);
    },
    interrupt: () => runner.interrupt(),
    interrupted: () => runner.interrupted(),
  };
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
  const tell = (execution, what, thrown) => {
    const { traceback } = errorOf(thrown);
    print(1, encode(`${test(/^Uncaught/, traceback) ? "" : what}${traceback}\n`), execution);
  };
  addEventListener("error", (event) => {
    event.preventDefault();
    if (event.error !== null || !interrupting()) { // what V8 terminates counts as thrown null
      tell(here(), "Uncaught ", event.error);
    }
  });
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    const { promise, reason } = event;
    runner.rejected(promise, (execution) => tell(execution, "Uncaught (in promise) ", reason));
  });
}
