// What people write in a cell, turned into what V8's REPL mode takes: TypeScript without its types, imports as
// expressions, no exports. Lines stay where they are; columns too, but where enums and the like need code of their own.

import { stripTypeScriptTypes } from "node:module";

import { test } from "./driver_safe.js";

const modules = /\b(?:import|export)\b/;
const DECLARATION = /^(?:async\s+)?function\b|^(?:abstract\s+)?class\b|^interface\b/;
let lex; // es-module-lexer's parse, once it is loaded

/** Report whether code may have something in it that takes the lexer. */
export const usesModules = (code) => test(modules, code);

/** Load the lexer, before code that uses modules is rewritten. */
export async function loadLexer() {
  lex ??= (await import("/usr/local/lib/es-module-lexer/lexer.asm.js")).parse;
}

/** Return a cell's code as a script for the REPL mode. Throws a SyntaxError if it is no TypeScript. */
export function rewrite(code) {
  const text = test(/^#!/, code) ? `//${code.slice(2)}` : code; // not at the start, for there is a prefix
  return stripTypes(usesModules(text) ? withoutModules(text) : text);
}

function stripTypes(code) {
  try {
    return stripTypeScriptTypes(code, { mode: "strip" });
  } catch {
    return stripTypeScriptTypes(code, { mode: "transform" }); // takes more, and says better what is wrong
  }
}

function withoutModules(code) {
  let imports, exports;
  try {
    [imports, exports] = lex(code);
  } catch {
    return code; // to strip its types will say what is wrong
  }
  const edits = [];
  for (const item of imports) {
    edits.push(item.type === "static" ? importEdit(code, item) : item.type === "import-meta" ? metaEdit(item) : undefined);
  }
  for (const { exportStart } of exports) {
    edits.push(exportEdit(code, exportStart));
  }
  return apply(code, edits.filter((edit) => edit !== undefined));
}

/** Return an import declaration as a statement with the expression. Imports of types alone are for whoever strips types. */
function importEdit(code, { importStart, importEnd, start, specifier, attributes, typeOnly }) {
  const statement = code.slice(importStart, importEnd);
  const clause = /^import\b([^]*)\bfrom\s*$/.exec(withoutComments(code.slice(importStart, start - 1)))?.[1].trim() ?? "";
  if (typeOnly || !statement.startsWith("import") || /^import\s+[\w$]+\s*=/.test(statement)) {
    return undefined;
  }
  const options = attributes === null ? "" : `, { with: ${JSON.stringify(Object.fromEntries(attributes))} }`;
  const module = `await import(${JSON.stringify(specifier)}${options});`;
  const namespace = /\*\s*as\s+(\S+)/.exec(clause)?.[1];
  const names = namesOf(clause);
  const lines = "\n".repeat(statement.split("\n").length - 1);
  let text = clause === "" ? `void ${module}` : `const { ${names.join(", ")} } = ${module}`;
  if (namespace !== undefined) {
    const rest = names.length === 0 ? "" : ` const { ${names.join(", ")} } = ${namespace};`;
    text = `const ${namespace} = ${module}${rest}`;
  }
  return { start: importStart, end: importEnd, text: text + lines };
}

/** Return the names that the clause of an import binds, but for that of the namespace, as a pattern's properties. */
function namesOf(clause) {
  const first = /^[^\s,{*]+/.exec(clause)?.[0];
  const names = first === undefined ? [] : [`default: ${first}`];
  for (const part of /\{([^]*)\}/.exec(clause)?.[1].split(",") ?? []) {
    const name = part.trim();
    if (name !== "" && !/^type\s+(?!as\s+(?!as\b))/.test(name)) {
      names.push(name.replace(/\s+as\s+/, ": "));
    }
  }
  return names;
}

/** Return import.meta as what it is in a script that is the main module and lies in the working directory. */
function metaEdit({ importStart, importEnd }) {
  const directory = Deno.cwd();
  const filename = `${directory}/cell.ts`;
  const meta = { main: true, dirname: directory, filename, url: new URL(`file://${filename}`).href };
  const resolve = `resolve: (specifier) => new URL(specifier, ${JSON.stringify(meta.url)}).href`;
  return { start: importStart, end: importEnd, text: `({ ...${JSON.stringify(meta)}, ${resolve} })` };
}

/** Blank out what makes a declaration an export, and lists of exports. A default that is a value stays an expression. */
function exportEdit(code, start) {
  const rest = code.slice(start);
  const list = /^export\s*(?:type\s*)?(?:\{[^}]*\}|\*(?:\s*as\s+\S+)?)(?:\s*from\s*(?:"[^"]*"|'[^']*'))?\s*;?/.exec(rest);
  const text = (list ?? /^export\s+(?:default\s+)?/.exec(rest))?.[0] ?? "";
  const value = !list && /default/.test(text) && !DECLARATION.test(rest.slice(text.length));
  const blank = text.replace(/\S/g, " ");
  return { start, end: start + text.length, text: value ? blank.replace("  ", "0,") : blank };
}

const withoutComments = (text) => text.replace(/\/\*[^]*?\*\/|\/\/.*/g, " ");

function apply(code, edits) {
  edits.sort((a, b) => a.start - b.start);
  let text = "";
  let at = 0;
  for (const edit of edits) {
    if (edit.start >= at) { // several exports of one list are one edit
      text += code.slice(at, edit.start) + edit.text;
      at = edit.end;
    }
  }
  return text + code.slice(at);
}
