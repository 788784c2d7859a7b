// Java contexts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newContext, run, sandbox } from './sandbox.mjs'

test('output and the value of the last expression', async () => {
  const execution = await run('System.out.println("Hello, World!");\n6 * 7', { language: 'java' })
  assert.equal(execution.logs.stdout.join(''), 'Hello, World!\n')
  assert.equal(execution.text, '42')
})

test('environment variables are system properties too', async () => {
  const code = 'System.getProperty("FOO")'
  assert.equal((await run(code, { language: 'java', envs: { FOO: 'bar' } })).results[0].text, 'bar')
  assert.deepEqual((await run(code, { language: 'java' })).results, [])
})

test('state stays in a context', async (t) => {
  const context = await newContext(t, { language: 'java' })
  await run('record Point(int x, int y) {}\nvar p = new Point(1, 2);', { context })
  assert.equal((await run('p.y()', { context })).text, '2')
})

test('an exception is an error with its traceback', async () => {
  const { error } = await sandbox.runCode('throw new IllegalStateException("no");', { language: 'java' })
  assert.deepEqual([error.name, error.value], ['IllegalStateException', 'no'])
  assert.match(error.traceback, /^java\.lang\.IllegalStateException: no\n\tat \(cell /)
})

test('a value has more forms than text', async () => {
  const execution = await run('display("text/html", "<b>bold</b>");', { language: 'java' })
  assert.equal(execution.results[0].html, '<b>bold</b>')
})
