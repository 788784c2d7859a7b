// Deno.jupyter, by which user code shows things, as `deno jupyter` has it.

import { bundleOf } from "./driver_results.js";

const DISPLAY = Symbol.for("Jupyter.display");
const PNG = 0x89;

/** Provide Deno.jupyter. Publish takes a bundle of MIME types. */
export function provideJupyter(publish) {
  const displayable = (bundle) => ({ [DISPLAY]: () => bundle });
  const tagged = (mime) => (strings, ...values) => displayable({ [mime]: String.raw({ raw: strings }, ...values) });
  Deno.jupyter = {
    $display: DISPLAY,
    html: tagged("text/html"),
    md: tagged("text/markdown"),
    svg: tagged("image/svg+xml"),
    /** Return a picture, of a file or of its bytes, that shows itself. */
    image(source) {
      const bytes = typeof source === "string" ? Deno.readFileSync(source) : source;
      return displayable({ [bytes[0] === PNG ? "image/png" : "image/jpeg"]: bytes });
    },
    /** Return a value's bundle of MIME types. */
    async format(value) {
      return await bundleOf(value);
    },
    /** Show a value, or with raw a bundle of MIME types. */
    async display(value, { raw = false } = {}) {
      publish(raw ? value : await bundleOf(value));
    },
  };
}
