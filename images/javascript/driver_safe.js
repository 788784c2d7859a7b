"use strict";
// Functions that user code may replace where everybody finds them, as they were at boot. Methods take their object as
// the first argument. Objects that the driver looks things up in have no prototype.

const fs = require("node:fs");
const { EventEmitter } = require("node:events");
const { inspect, types } = require("node:util");

/** Return a method as a function of its object. */
const method = (f) => Function.prototype.call.bind(f);

/** Make methods that an object has from its prototype its own. */
function ownMethods(object, names) {
  for (const name of names) {
    Object.defineProperty(object, name, { value: object[name] });
  }
}

const encoder = new TextEncoder();

module.exports = {
  __proto__: null,
  method,
  ownMethods,
  inspect,
  isPromise: types.isPromise,
  isNativeError: types.isNativeError,
  isUint8Array: types.isUint8Array,
  writeSync: fs.writeSync,
  closeSync: fs.closeSync,
  mkdirSync: fs.mkdirSync,
  stringify: JSON.stringify,
  keys: Object.keys,
  create: Object.create,
  getPrototypeOf: Object.getPrototypeOf,
  setPrototypeOf: Object.setPrototypeOf,
  defineProperty: Object.defineProperty,
  getOwnPropertyDescriptor: Object.getOwnPropertyDescriptor,
  deleteProperty: Reflect.deleteProperty,
  String,
  // Bytes in UTF-8, with half of a surrogate pair as U+FFFD.
  encode: method(encoder.encode).bind(null, encoder),
  bufferFrom: Buffer.from.bind(Buffer),
  then: method(Promise.prototype.then),
  startsWith: method(String.prototype.startsWith),
  lengthOf: method(Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), "length").get),
  on: method(EventEmitter.prototype.on),
  off: method(EventEmitter.prototype.off),
};
