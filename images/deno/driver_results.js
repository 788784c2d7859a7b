// Values and errors as the frames of a result and of an error tell them. User code runs here: what it throws comes out.

import { inspect, isObject, keys, stringify, toString } from "./driver_safe.js";

const { Error, TextDecoder, Uint8Array } = globalThis;
const DISPLAY = Symbol.for("Jupyter.display");
const TEXT = /^text\/|\+xml$|json$|javascript$/;
const IN_ONE_PIECE = { __proto__: null, breakLength: Infinity };
const FRAME = /^ +at /;
const USER_FRAME = /^ +at (?!.*\bext:).*:\d+:\d+\)?$/;
const DRIVER_FRAME = /^ +at .*file:\/\/\/opt\/cubby\//;
const FIRST_LINE = /<anonymous>:1:(\d+)/g;
const STRIPPED = "file:///stripTypeScriptTypes.ts"; // what V8 takes for the file of a cell while its types are stripped

/** What comes before a cell's code in its first line. All names are of one length. */
export const PREFIX = (name) => `await ${name}();${name}();`;
const PREFIX_LENGTH = PREFIX(`cubby_${"0".repeat(32)}`).length;

/** Return what a value wants to be shown as: a MIME bundle, or a promise of one, or else a picture or its text. */
export function bundleOf(value) {
  if (isObject(value)) {
    if (typeof value[DISPLAY] === "function") {
      return value[DISPLAY]();
    }
    if (typeof value.toDataURL === "function") { // a canvas
      const [, mime, data] = /^data:([^;]+);base64,(.*)$/.exec(value.toDataURL()) ?? [];
      if (data !== undefined) {
        return { __proto__: null, [mime]: data };
      }
    }
    if (typeof value.outerHTML === "string") { // an element
      return { __proto__: null, [value.tagName === "svg" ? "image/svg+xml" : "text/html"]: value.outerHTML };
    }
  }
  return { __proto__: null, "text/plain": inspect(value, typeof value === "string" ? IN_ONE_PIECE : undefined) };
}

/** Return a MIME bundle as JSON: bytes as base64, or as text for types that are text. What is no JSON is left out. */
export function jsonOf(bundle) {
  if (!isObject(bundle)) {
    throw new TypeError(`what is displayed should be an object of MIME types, not ${inspect(bundle)}`);
  }
  let text = "";
  const names = keys({ "text/plain": "", ...bundle }); // there is always a text
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    let value = name === "text/plain" ? bundle[name] ?? "" : bundle[name];
    if (value instanceof Uint8Array) {
      value = TEXT.test(name) ? new TextDecoder().decode(value) : value.toBase64();
    }
    const json = stringify(value);
    if (json !== undefined) {
      text += `${text === "" ? "" : ","}${stringify(name)}:${json}`;
    }
  }
  return `{${text}}`;
}

/** Return the frame of an error for anything that was thrown. One that cannot be shown is told even so. */
export function errorOf(thrown, details) {
  try {
    if (!(thrown instanceof Error)) {
      const value = inspect(thrown);
      return frame("Error", value, `Uncaught ${value}`);
    }
    const name = toString(thrown.name || "Error");
    const message = toString(thrown.message);
    const stripped = message.includes(STRIPPED);
    if (stripped) { // message and picture are one text
      const text = message.replaceAll(STRIPPED, "<anonymous>");
      return frame(name, text.split("\n")[0].replace(/^SyntaxError: /, ""), text);
    }
    return frame(name, message, tracebackOf(thrown, details));
  } catch {
    return frame("Error", "an error that cannot be shown", "an error that cannot be shown");
  }
}

function frame(name, value, traceback) {
  return { __proto__: null, type: "error", name, value, traceback };
}

/** Return an error with its stack, its cause and its properties, but without the frames of the driver. */
function tracebackOf(error, details) {
  const lines = inspect(error).split("\n").filter((line) => !DRIVER_FRAME.test(line));
  if (details === undefined || !(error instanceof SyntaxError) || lines.some((line) => USER_FRAME.test(line))) {
    return lines.join("\n").replace(FIRST_LINE, (_, column) => `<anonymous>:1:${inFirstLine(column)}`);
  }
  // V8 has not run it. If such an error has a stack, it is the one on which V8 found the time; the inspector says where
  // the fault is.
  const text = lines.filter((line) => !FRAME.test(line)).join("\n").replace(/^\[([^]*)\]$/, "$1");
  const { lineNumber, columnNumber } = details;
  const column = lineNumber === 0 ? inFirstLine(columnNumber + 1) : columnNumber + 1;
  return `${text}\n    at <anonymous>:${lineNumber + 1}:${column}`;
}

/** Return where a column of the first line was before there was a prefix. */
function inFirstLine(column) {
  return column > PREFIX_LENGTH ? column - PREFIX_LENGTH : column;
}
