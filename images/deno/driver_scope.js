// What user code finds around it: environment variables, the working directory, the exit, and where imports come from.

import { registerHooks } from "node:module";
import { resolve } from "node:path";

import { exit } from "./driver_libc.js";
import { keys, method, resolved, then } from "./driver_safe.js";

export const HOME = "/home/user";
const NO_NETWORK = `\
hint: this context has no network, so Deno cannot fetch modules. Whoever operates the server can give contexts the
network "internet". Modules of node: and files in the workspace need none.
`;

const { reportError } = globalThis;
const { chdir, cwd, mkdirSync, readTextFileSync, errors } = Deno;
const getVariable = method(Deno.env.get).bind(null, Deno.env);
const setVariable = method(Deno.env.set).bind(null, Deno.env);
const deleteVariable = method(Deno.env.delete).bind(null, Deno.env);
const dispatch = method(globalThis.dispatchEvent).bind(null, globalThis);

/** Change to a directory. A missing one under HOME is made; the error of another is for the user to read. */
export function enterDirectory(path) {
  const directory = resolve(HOME, path);
  try {
    if (`${directory}/`.startsWith(`${HOME}/`)) {
      mkdirSync(directory, { recursive: true });
    }
    chdir(directory);
  } catch (error) {
    const what = error instanceof errors.NotFound ? "no such directory"
      : error instanceof errors.AlreadyExists || error instanceof errors.NotADirectory ? "not a directory"
      : error.message;
    throw new Error(`${what}: ${directory}`, { cause: error });
  }
}

/** Set environment variables, all or none, and return what they were before: undefined where there was none. */
export function setVariables(variables) {
  const before = { __proto__: null };
  const names = keys(variables);
  for (let i = 0; i < names.length; i++) {
    try {
      const was = getVariable(names[i]);
      setVariable(names[i], variables[names[i]]);
      before[names[i]] = was;
    } catch (error) {
      replaceVariables(before);
      throw new TypeError(`environment variable ${JSON.stringify(names[i])}: ${error.message}`);
    }
  }
  return before;
}

/** Set environment variables to values of which undefined means that there is no such variable. */
export function replaceVariables(variables) {
  const names = keys(variables);
  for (let i = 0; i < names.length; i++) {
    const value = variables[names[i]];
    value === undefined ? deleteVariable(names[i]) : setVariable(names[i], value);
  }
}

/** Have Deno.exit, and process.exit with it, end the process at once: Deno's own waits for the inspector's clients. */
export function provideExit() {
  Deno.exit = (status = Deno.exitCode) => {
    try {
      dispatch(new Event("unload"));
    } finally {
      exit(status);
    }
  };
  globalThis.close = () => Deno.exit(); // Deno's own ends the event loop alone
}

/** Have cells import files from the working directory, not from the one above it. */
export function provideImports() {
  registerHooks({
    resolve(specifier, context, next) {
      const inCell = context.parentURL === undefined && /^\.{0,2}\//.test(specifier);
      return next(inCell ? new URL(specifier, `file://${cwd()}/`).href : specifier, context);
    },
  });
}

/** Return what to add to an error, if it is that of a module that could not be fetched because there is no network. */
export function hintFor(error) {
  try {
    const fetched = error instanceof Error && error.code === "ERR_MODULE_NOT_FOUND" && /https?:/.test(error.message);
    return fetched && !hasNetwork() ? NO_NETWORK : "";
  } catch { // it cannot be asked
    return "";
  }
}

/**
 * Have callbacks of timers run as what follows upon a promise. An endless loop that V8 terminates in a callback of Deno's
 * event loop would take the process with it.
 */
export function provideTimers() {
  const follow = (callback, values) => void then(then(resolved, () => callback(...values)), undefined, reportError);
  const provide = (object, name, make) => {
    const given = object[name];
    object[name] = Object.defineProperties(make(given), Object.getOwnPropertyDescriptors(given));
  };
  for (const name of ["setTimeout", "setInterval", "setImmediate"]) {
    provide(globalThis, name, (set) => (callback, ...rest) =>
      set(typeof callback === "function" ? (...values) => follow(callback, values) : callback, ...rest));
  }
  provide(process, "nextTick", (tick) => (callback, ...values) =>
    typeof callback === "function" ? follow(callback, values) : tick(callback));
}

/** Report whether there is a route to anywhere. */
function hasNetwork() {
  try {
    return readTextFileSync("/proc/net/route").trim().includes("\n") ||
      readTextFileSync("/proc/net/ipv6_route").split("\n").some((line) => line !== "" && !line.endsWith(" lo"));
  } catch {
    return true;
  }
}
