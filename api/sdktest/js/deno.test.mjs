// Contexts whose language is Deno.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newContext, run, sandbox } from './sandbox.mjs'

test('a context in a directory of its own', async (t) => {
  const context = await newContext(t, { language: 'deno', cwd: '/home/user/projects' })
  assert.equal(context.language, 'deno')
  assert.equal(context.cwd, '/home/user/projects')
  assert.equal((await run('Deno.cwd()', { context })).text, '/home/user/projects')
})

test('the default context of the language', async () => {
  const { logs } = await run('const greeting: string = "Hello"; console.log(greeting)', { language: 'deno' })
  assert.deepEqual(logs.stdout, ['Hello\n'])
  assert.equal((await run('greeting.length', { language: 'deno' })).text, '5')
})

test('variables last, and the value has no colours', async (t) => {
  const context = await newContext(t, { language: 'deno' })
  const declared = await run('const arr = [1,2,3]', { context })
  assert.deepEqual(declared.results, [])
  const { text, results } = await run('arr.length', { context })
  assert.equal(text, '3')
  assert.equal(results[0].isMainResult, true)
})

test('a fresh context does not see the variables of another', async (t) => {
  const first = await newContext(t, { language: 'deno' })
  const second = await newContext(t, { language: 'deno' })
  await run('const mine = 1', { context: first })
  const { error } = await sandbox.runCode('mine', { context: second })
  assert.equal(error.name, 'ReferenceError')
  assert.equal(error.value, 'mine is not defined')
})

test('a fresh state after a restart', async (t) => {
  const context = await newContext(t, { language: 'deno' })
  await run('const mine = 1', { context })
  await sandbox.restartCodeContext(context)
  assert.equal((await run('typeof mine', { context })).text, 'undefined')
})

test('variables of the environment, for one execution', async (t) => {
  const context = await newContext(t, { language: 'deno' })
  assert.equal((await run('Deno.env.get("FOO")', { context, envs: { FOO: 'bar' } })).text, 'bar')
  assert.deepEqual((await run('Deno.env.get("FOO")', { context })).results, [])
})

test('what is displayed', async () => {
  const { results } = await run('({ [Symbol.for("Jupyter.display")]: () => ({ "text/html": "<b>hi</b>" }) })', { language: 'deno' })
  assert.equal(results[0].html, '<b>hi</b>')
})
