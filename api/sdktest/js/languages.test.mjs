// JavaScript and TypeScript, by the language of a call and by a context of their own.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newContext, run, sandbox } from './sandbox.mjs'

test('JavaScript keeps its state from call to call', async () => {
  await run('const word = await Promise.resolve("kept")', { language: 'js' })
  assert.equal((await run('word', { language: 'javascript' })).text, 'kept')
})

test('TypeScript has its types and enums', async () => {
  const { text } = await run('enum Color { Red = 3 }\nconst c: Color = Color.Red\nc', { language: 'ts' })
  assert.equal(text, '3')
})

test('a context of JavaScript runs where asked', async (t) => {
  const context = await newContext(t, { cwd: '/home/user/script', language: 'javascript' })
  assert.equal(context.language, 'javascript')
  assert.equal((await run('process.cwd()', { context })).text, '/home/user/script')
})

test('what JavaScript displays is a result', async () => {
  const { results } = await run('display({ "text/html": "<b>b</b>", "application/json": { n: 1 } }); 2', { language: 'js' })
  assert.equal(results[0].html, '<b>b</b>')
  assert.deepEqual(results[0].json, { n: 1 })
  assert.equal(results[1].text, '2')
})

test('an error of JavaScript is told by name, message and stack', async () => {
  const { error } = await sandbox.runCode('throw new RangeError("went wrong")', { language: 'js' })
  assert.equal(error.name, 'RangeError')
  assert.equal(error.value, 'went wrong')
  assert.match(error.traceback, /^RangeError: went wrong\n {4}at cell-\d+\.js:1:7$/)
})
