// The cells in memory that both threads share: who ends what is to be interrupted, and whether mail has come.

import { compareExchange, load } from "./driver_safe.js";

/** The cells. What follows are their indexes, each with the values that it has. */
export const cells = new Int32Array(new SharedArrayBuffer(8));

export const INTERRUPT = 0;
export const IDLE = 0; // nothing is under way
export const WAITING = 1; // the driver has been asked to end its execution, or for a pong, and may still do so
export const TERMINATING = 2; // V8 has been asked to terminate what runs, and has not said yet that it has

export const MAIL = 1; // a count of what the worker has sent

/** Report whether an interrupt, or a ping, is under way. */
export const interrupting = () => load(cells, INTERRUPT) !== IDLE;

/** Have the driver do what is waited for. False: V8 is terminating what runs, and the driver has to wait for that. */
export function settle() {
  compareExchange(cells, INTERRUPT, WAITING, IDLE);
  return !interrupting();
}

/** Note that V8 has terminated what ran. False: that has been noted before. */
export const terminated = () => compareExchange(cells, INTERRUPT, TERMINATING, IDLE) === TERMINATING;
