"use strict";
// What people write in a cell, turned into what V8's REPL mode takes: TypeScript without its types, imports as
// expressions, and declarations that may be repeated, whatever they were before. Lines and columns stay where they are
// as far as possible.

const { stripTypeScriptTypes } = require("node:module");

const { parse } = require("./acorn.js");
const { keys } = require("./driver_safe.js");

const OPTIONS = {
  ecmaVersion: "latest", allowAwaitOutsideFunction: true, allowImportExportEverywhere: true, allowHashBang: true,
};
const PATTERN_PARTS = {
  ObjectPattern: (node) => node.properties,
  ArrayPattern: (node) => node.elements,
  Property: (node) => [node.value],
  RestElement: (node) => [node.argument],
  AssignmentPattern: (node) => [node.left],
};

/**
 * Return TypeScript without types, of which only enums, namespaces and parameter properties move lines. What is no
 * TypeScript is a SyntaxError that shows where, under the name of the code.
 */
function stripTypes(code, name) {
  try {
    return stripTypeScriptTypes(code, { mode: "strip" });
  } catch (error) {
    if (error.code !== "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") {
      throw located(error, name);
    }
  }
  try {
    return stripTypeScriptTypes(code, { mode: "transform" });
  } catch (error) {
    throw located(error, name);
  }
}

function located(error, name) {
  const syntax = new SyntaxError(error.message);
  syntax.stack = `${name}${error.stack.split("\n\n")[0]}\n\nSyntaxError: ${error.message}`;
  return syntax;
}

/** What cells have declared, by name: "var", or "let" for all that is lexical. V8 lets a name be only one of the two. */
class Declarations {
  #kinds = { __proto__: null };

  /** Return the code for V8, and the declarations in it by name; null: it cannot be parsed, which V8 is to complain of. */
  rewrite(code) {
    const declared = { __proto__: null };
    let program;
    try {
      program = parse(code, OPTIONS);
      const edits = [];
      for (const statement of program.body) {
        this.#statement(code, statement, edits, declared);
      }
      if (/\bimport\b/.test(code)) {
        dynamicImports(program, edits);
      }
      return { code: apply(code, edits), declared };
    } catch {
      return { code, declared: null };
    }
  }

  /** Remember what has been declared. */
  add(declared) {
    const names = keys(declared);
    for (let i = 0; i < names.length; i++) {
      this.#kinds[names[i]] ??= declared[names[i]];
    }
  }

  #statement(code, node, edits, declared) {
    if (node.type === "ExportNamedDeclaration" && node.declaration) {
      edits.push({ start: node.start, end: node.declaration.start, text: " ".repeat(node.declaration.start - node.start) });
      node = node.declaration;
    }
    switch (node.type) {
      case "VariableDeclaration": {
        const names = node.declarations.flatMap((declarator) => namesOf(declarator.id));
        const lexical = node.kind !== "var";
        if (node.kind === "const" || node.kind === "let" || node.kind === "var") {
          const kind = this.#choose(names, lexical, declared);
          edits.push({ start: node.start, end: node.start + node.kind.length, text: kind.padEnd(node.kind.length) });
        }
        break;
      }
      case "ClassDeclaration":
        this.#choose([node.id.name], true, declared) === "var" && edits.push(before(node, `var ${node.id.name} = `));
        break;
      case "FunctionDeclaration":
        this.#choose([node.id.name], false, declared) === "let" && edits.push(before(node, `let ${node.id.name} = `));
        break;
      case "ImportDeclaration": {
        const kind = this.#choose(node.specifiers.map((specifier) => specifier.local.name), true, declared);
        edits.push({ start: node.start, end: node.end, text: importOf(code, node, kind) });
        break;
      }
    }
  }

  /** Return how to declare names, and note it: as what they are already, else as their statement says. */
  #choose(names, lexical, declared) {
    const known = names.map((name) => this.#kinds[name]).find((kind) => kind !== undefined);
    const kind = known ?? (lexical ? "let" : "var");
    for (const name of names) {
      declared[name] = kind;
    }
    return kind;
  }
}

const before = (node, text) => ({ start: node.start, end: node.start, text });

function namesOf(pattern) {
  if (pattern === null) {
    return [];
  }
  return pattern.type === "Identifier" ? [pattern.name] : PATTERN_PARTS[pattern.type](pattern).flatMap(namesOf);
}

/** Return an import declaration as a statement with the expression. Its lines stay lines. */
function importOf(code, node, kind) {
  const attributes = node.attributes.map(({ key, value }) => `${key.raw ?? key.name}: ${value.raw}`);
  const options = attributes.length === 0 ? "" : `, { with: { ${attributes.join(", ")} } }`;
  const module = `await $import(${node.source.raw}${options});`;
  const lines = "\n".repeat(code.slice(node.start, node.end).split("\n").length - 1);
  const namespace = node.specifiers.find((specifier) => specifier.type === "ImportNamespaceSpecifier");
  const parts = node.specifiers.filter((specifier) => specifier !== namespace).map(({ imported, local }) =>
    `${imported === undefined ? "default" : imported.raw ?? imported.name}: ${local.name}`);
  if (namespace === undefined) {
    return (parts.length === 0 ? module : `${kind} { ${parts.join(", ")} } = ${module}`) + lines;
  }
  const rest = parts.length === 0 ? "" : ` ${kind} { ${parts.join(", ")} } = ${namespace.local.name};`;
  return `${kind} ${namespace.local.name} = ${module}${rest}${lines}`;
}

/** Turn import(…) into a call of the function that the driver provides: V8 has none for the REPL mode. */
function dynamicImports(node, edits) {
  if (node.type === "ImportExpression") {
    edits.push({ start: node.start, end: node.start + "import".length, text: "$import" });
  }
  for (const part of Object.values(node)) {
    for (const child of Array.isArray(part) ? part : [part]) {
      if (typeof child?.type === "string" && child.type !== "ImportDeclaration") {
        dynamicImports(child, edits);
      }
    }
  }
}

function apply(code, edits) {
  edits.sort((a, b) => a.start - b.start || a.end - b.end);
  let text = "";
  let at = 0;
  for (const edit of edits) {
    text += code.slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return text + code.slice(at);
}

module.exports = { Declarations, stripTypes };
