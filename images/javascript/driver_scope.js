"use strict";
// What user code finds around it: the directory, the environment, require and import from there.

const { Module, createRequire } = require("node:module");
const { resolve } = require("node:path");
const vm = require("node:vm");

const { defineProperty, keys, mkdirSync, startsWith } = require("./driver_safe.js");

const HOME = "/home/user";
const environment = process.env;
const chdir = process.chdir;
const cwd = process.cwd;
const { hasOwn } = Object;

/** Change to a directory. A missing one under HOME is made; the error of another is for the user to read. */
function enterDirectory(path) {
  const target = resolve(HOME, path);
  try {
    if (startsWith(target + "/", HOME + "/")) {
      mkdirSync(target, { recursive: true });
    }
    chdir(target);
  } catch (error) {
    throw new Error(`${reasons[error.code] ?? error.message}: ${target}`);
  }
}

const reasons = {
  __proto__: null,
  ENOENT: "no such directory",
  EEXIST: "not a directory",
  ENOTDIR: "not a directory",
  EACCES: "permission denied",
  ENAMETOOLONG: "file name too long",
};

/** Set environment variables, all or none, and return what they were before: undefined where there was none. */
function setVariables(variables) {
  const before = { __proto__: null };
  const names = keys(variables);
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    if (name === "" || /[=\0]/.test(name) || /\0/.test(variables[name])) {
      throw new Error(`environment variable ${JSON.stringify(name)}: not a name and a value that one can have`);
    }
  }
  process.env = environment; // user code may have replaced it
  for (let i = 0; i < names.length; i++) {
    before[names[i]] = hasOwn(environment, names[i]) ? environment[names[i]] : undefined;
    environment[names[i]] = variables[names[i]];
  }
  return before;
}

/** Set environment variables to values of which undefined means that there is no such variable. */
function replaceVariables(variables) {
  const names = keys(variables);
  for (let i = 0; i < names.length; i++) {
    if (variables[names[i]] === undefined) {
      delete environment[names[i]];
    } else {
      environment[names[i]] = variables[names[i]];
    }
  }
}

/** Give user code the names that it knows from modules, for its directory at the moment. */
function provide() {
  const module = new Module("[cell]");
  process.mainModule = module; // so that require.main === module
  let directory, require, load;
  const follow = () => {
    if (directory === cwd()) {
      return;
    }
    directory = cwd();
    module.filename = resolve(directory, "[cell]");
    module.paths = Module._nodeModulePaths(directory);
    require = createRequire(module.filename);
    load = new vm.Script("(specifier, options) => import(specifier, options)", {
      filename: module.filename, importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    }).runInThisContext();
  };
  const names = {
    module: () => module,
    exports: () => module.exports,
    require: () => (follow(), require),
    __dirname: () => cwd(),
    __filename: () => resolve(cwd(), "[cell]"),
  };
  for (const name of Object.keys(names)) {
    defineProperty(globalThis, name, {
      configurable: true,
      get: names[name],
      set: (value) => defineProperty(globalThis, name, { configurable: true, writable: true, value }),
    });
  }
  const $import = (specifier, options) => (follow(), load(specifier, options));
  defineProperty(globalThis, "$import", { configurable: true, writable: true, value: $import });
}

module.exports = { HOME, enterDirectory, provide, replaceVariables, setVariables };
