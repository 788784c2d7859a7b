"use strict";
// Values and errors as the frames of a result and of an error tell them. User code runs here: what it throws comes out.

const { String, bufferFrom, getPrototypeOf, inspect, isNativeError, isUint8Array, keys, stringify } = require("./driver_safe.js");

const DISPLAY = Symbol.for("Jupyter.display");
const MIME = /^[a-z]+\/[a-z0-9.+_-]+$/i;
const TEXT = /^text\/|\+xml$|json$|javascript$/;
const IN_ONE_PIECE = { __proto__: null, breakLength: Infinity };
const ObjectPrototype = Object.prototype;

/** Return what a value wants to be shown as: a MIME bundle, or a promise of one, or else its text. */
function bundleOf(value) {
  const shown = value !== null && (typeof value === "object" || typeof value === "function") ? value[DISPLAY] : undefined;
  if (typeof shown === "function") {
    return shown.call(value);
  }
  return { __proto__: null, "text/plain": inspect(value, typeof value === "string" ? IN_ONE_PIECE : undefined) };
}

/** Report whether a value is a plain object with MIME types for keys, as display() takes it. */
function isBundle(value) {
  if (value === null || typeof value !== "object") {
    return false;
  }
  const prototype = getPrototypeOf(value);
  const names = keys(value);
  return (prototype === ObjectPrototype || prototype === null) && names.length > 0 && names.every((name) => MIME.test(name));
}

/** Return a MIME bundle as JSON: bytes as base64, or as text for types that are text. What is no JSON is left out. */
function jsonOf(bundle) {
  if (bundle === null || typeof bundle !== "object") {
    throw new TypeError(`what is displayed should be an object of MIME types, not ${inspect(bundle)}`);
  }
  let text = "";
  const names = keys(bundle);
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    let value = bundle[name];
    if (isUint8Array(value)) {
      value = bufferFrom(value).toString(TEXT.test(name) ? "utf8" : "base64");
    }
    const json = stringify(value);
    if (json !== undefined) {
      text += `${text === "" ? "" : ","}${stringify(name)}:${json}`;
    }
  }
  return `{${text}}`;
}

/** Return the frame of an error for anything that was thrown. One that cannot be shown is told even so. */
function errorOf(thrown, location) {
  try {
    const isError = isNativeError(thrown) || thrown instanceof Error;
    const name = isError ? String(thrown.name || "Error") : "Error";
    const value = isError ? String(thrown.message) : inspect(thrown);
    const traceback = isError ? tracebackOf(thrown, `${name}: ${value}`) : `Uncaught ${value}`;
    return frame(name, value, location === undefined ? traceback : `${location}\n\n${traceback}`);
  } catch {
    return frame("Error", "an error that cannot be shown", "an error that cannot be shown");
  }
}

function frame(name, value, traceback) {
  return { __proto__: null, type: "error", name, value, traceback };
}

/** Return an error with its stack, its cause and its properties; or else the short form, where it cannot be shown so. */
function tracebackOf(error, short) {
  try {
    const text = inspect(error);
    return text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text; // as errors without a stack are marked
  } catch {
    return short;
  }
}

/** Return where code is wrong, as Node.js shows it. */
function locationOf(name, code, line, column) {
  return `${name}:${line + 1}\n${code.split("\n")[line] ?? ""}\n${" ".repeat(column)}^`;
}

module.exports = { bundleOf, errorOf, isBundle, jsonOf, locationOf };
