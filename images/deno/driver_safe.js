// Functions that user code may replace where everybody finds them, as they were at boot. Methods take their object as
// the first argument. Objects that the driver looks things up in have no prototype.

import { types } from "node:util";

/** Return a method as a function of its object. */
export const method = (f) => Function.prototype.call.bind(f);

export const { parse, stringify } = JSON;
export const { keys, create, defineProperty, getOwnPropertyDescriptor, setPrototypeOf } = Object;
export const { deleteProperty } = Reflect;
export const { compareExchange, load, waitAsync } = Atomics;
export const { inspect } = Deno;
export const { isPromise } = types;
export const toString = String;
export const toNumber = Number;
const randomUUID = crypto.randomUUID.bind(crypto);
const exec = method(RegExp.prototype.exec);

/** Report whether a regular expression matches. Its own test() calls what user code may have replaced. */
export const test = (pattern, text) => exec(pattern, text) !== null;

const replaceAll = method(String.prototype.replaceAll);
export const then = method(Promise.prototype.then);
/** Have then() take the promises that it makes from nobody: it asks a promise for its constructor, and that for others. */
export const untouched = (promise) => defineProperty(promise, "constructor", { __proto__: null, value: undefined });
export const resolved = untouched(Promise.resolve());
/** The same for await, which asks a promise for its then where the constructor is another than it knows. */
export const awaitable = defineProperty(Promise.resolve(), "constructor", { __proto__: null, value: Promise });
const { prototype: bytes } = Object.getPrototypeOf(Uint8Array);
export const subarray = method(bytes.subarray);
export const lengthOf = method(getOwnPropertyDescriptor(bytes, "length").get);

const encoder = new TextEncoder();
const encodeText = method(encoder.encode);

/** Return text as bytes in UTF-8, with half of a surrogate pair as U+FFFD. */
export const encode = (text) => encodeText(encoder, text);

/** Report whether a value is an object or a function. */
export const isObject = (value) => value !== null && (typeof value === "object" || typeof value === "function");

/** Return a name that user code does not have, always as long. */
export const secret = () => `cubby_${replaceAll(randomUUID(), "-", "")}`;

/** Have there be a global function, until it is deleted. */
export const define = (name, value) => void defineProperty(globalThis, name, { __proto__: null, configurable: true, value });
