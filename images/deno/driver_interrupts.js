// Who ends an execution that is to be interrupted: cells in memory that both threads share.

import { compareExchange, load, store } from "./driver_safe.js";

// The first cell.
export const IDLE = 0; // no interrupt is under way
export const WAITING = 1; // the driver has been asked to end its execution, and may still do so
export const TERMINATING = 2; // V8 has been asked to terminate what runs, and has not said yet that it has

// The second cell.
export const EVALUATING = 1; // the inspector is inside an evaluation, which must not be terminated

/** The cells. */
export const cells = new Int32Array(new SharedArrayBuffer(8));

/** Note that the inspector is to begin an evaluation, or has ended it. */
export const evaluating = (is) => void store(cells, 1, is ? EVALUATING : 0);

/** Report whether an interrupt is under way. */
export const interrupting = () => load(cells, 0) !== IDLE;

/** Have the driver end its execution. False: V8 is terminating what runs, and the driver has to wait for that. */
export function settle() {
  compareExchange(cells, 0, WAITING, IDLE);
  return !interrupting();
}

/** Note that V8 has terminated what ran. */
export function terminated() {
  store(cells, 0, IDLE);
}
