// Timeouts of the client.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TimeoutError } from '@e2b/code-interpreter'
import { ids, newContext, run, sandbox } from './sandbox.mjs'

test('an execution that takes too long is interrupted, and its context works on', async (t) => {
  const context = await newContext(t)
  await run('kept = 5', { context })
  await assert.rejects(
    sandbox.runCode('import time\nwhile True:\n    time.sleep(0.05)', { context, timeoutMs: 500 }),
    (error) => error instanceof TimeoutError && /Execution timed out/.test(error.message),
  )
  assert.equal((await run('kept', { context })).text, '5')
})

test('code that computes without end is interrupted too', async (t) => {
  const context = await newContext(t)
  await run('kept = 6', { context })
  await assert.rejects(sandbox.runCode('while True: pass', { context, timeoutMs: 500 }), TimeoutError)
  assert.equal((await run('kept', { context })).text, '6')
})

test('no timeout means none', async () => {
  assert.equal((await run('import time; time.sleep(1); "done"', { timeoutMs: 0 })).text, 'done')
})

test('a create that is given up leaves no context', async () => {
  const before = await ids()
  await assert.rejects(sandbox.createCodeContext({ requestTimeoutMs: 1 }))
  await new Promise((resolve) => setTimeout(resolve, 5000))
  assert.deepEqual(await ids(), before)
})

test('a request timeout that is long enough changes nothing', async (t) => {
  const context = await newContext(t, { requestTimeoutMs: 60_000 })
  assert.equal((await run('1 + 1', { context, requestTimeoutMs: 60_000 })).text, '2')
})
