// Who ends an execution that is to be interrupted: a cell in memory that both threads share.

import { compareExchange, load, store } from "./driver_safe.js";

export const IDLE = 0; // no interrupt is under way
export const WAITING = 1; // the driver has been asked to end its execution, and may still do so
export const TERMINATING = 2; // V8 has been asked to terminate what runs, and has not said yet that it has

/** The cell. */
export const cell = new Int32Array(new SharedArrayBuffer(4));

/** Report whether an interrupt is under way. */
export const interrupting = () => load(cell, 0) !== IDLE;

/** Have the driver end its execution. False: V8 is terminating what runs, and the driver has to wait for that. */
export function settle() {
  compareExchange(cell, 0, WAITING, IDLE);
  return !interrupting();
}

/** Note that V8 has terminated what ran. */
export function terminated() {
  store(cell, 0, IDLE);
}
