// What the test files share.
import assert from 'node:assert/strict'
import { Sandbox } from '@e2b/code-interpreter'

export const sandbox = await Sandbox.create()

// newContext creates a context that goes with the test.
export async function newContext(t, opts) {
  const context = await sandbox.createCodeContext(opts)
  t.after(() => sandbox.removeCodeContext(context).catch(() => {}))
  return context
}

// run returns the execution of code that must not fail.
export async function run(code, opts) {
  const execution = await sandbox.runCode(code, opts)
  assert.equal(execution.error, undefined, execution.error?.traceback)
  return execution
}

// ids returns the ids of all contexts, in the order of the list.
export async function ids() {
  return (await sandbox.listCodeContexts()).map((context) => context.id)
}
